"""A picture of the mean of a modality over some samples, small enough to be put on a page.

A mean connectome is drawn with its regions in the order of a hierarchical clustering (average linkage, the distance of
two regions being how much weaker their edge is than the strongest), so that regions that are strongly connected lie
beside each other. Regions have no names there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbase.disclosure import SMALLEST_COUNT
from mmbase.names import CONNECTIVITY
from mmdata.qc.mean import average_rows, read_batches, spread_evenly
from mmdata.qc.pictures import draw_matrix, draw_planes
from mmdata.qc.planes import Plane, centre_planes, centre_position_mm, matrix_of_edges
from mmdata.qc.review import array_path, decoded, unit_of
from mmdata.qc.section import mean_shading
from mmdata.store.array import open_array
from mmdata.study import Study

MOST_SAMPLES = 200
"""That a mean is over; of more, taken evenly over the rows."""


@dataclass(frozen=True, slots=True)
class MeanPicture:
    """A mean as the bytes of a PNG file."""

    png: bytes
    num_samples: int


def draw_mean(study: Study, modality: str, rows: Sequence[int], on_read: Callable[[int], None]) -> MeanPicture | None:
    """Draw the mean of a modality; None where fewer than ten samples can be read.

    Parameters
    ----------
    rows
        Of samples of different participants.
    on_read
        Called with the number of rows that were tried since the last call.

    Raises
    ------
    StoreError
        There is no array of this modality, or it is of another version.
    """
    array = open_array(array_path(study, modality))
    mean = average_rows(read_batches(array, spread_evenly(rows, MOST_SAMPLES), on_read))
    if mean is None or len(mean.rows) < SMALLEST_COUNT:
        return None
    values = decoded(mean.mean, array)
    shading = mean_shading(values, unit_of(array), is_volume=modality != CONNECTIVITY)
    if modality == CONNECTIVITY:
        png = draw_matrix(clustered_matrix(values), shading)
    else:
        position_mm = centre_position_mm(np.asarray(array.attributes["affine_ras"]), values.shape)
        png = draw_planes(centre_planes(values), position_mm, shading)
    return MeanPicture(png, len(mean.rows))


def clustered_matrix(edges_E: NDArray[np.float64]) -> Plane:
    """Return the matrix of edges with strongly connected regions beside each other.

    >>> edges = np.array([0.1, 0.9, 0.1, 0.1, 0.8, 0.1])  # of four regions: 0 with 2, and 1 with 3
    >>> clustered_matrix(edges)[0, 1], clustered_matrix(edges)[2, 3]
    (np.float32(0.9), np.float32(0.8))
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    order = leaves_list(linkage(edges_E.max() - edges_E, "average"))
    return matrix_of_edges(edges_E)[np.ix_(order, order)]
