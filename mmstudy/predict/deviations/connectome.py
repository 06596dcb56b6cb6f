"""Hold the edges of a connectome against what a model takes for granted: the atlas, the measure, the training cohort.

What cannot be told: hemispheres that were exchanged (both follow the same networks), and regions of another order where
the people trained on are not described.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.volume.connectome import CONNECTOMES
from mmdata.volume.settings import ConnectivitySettings
from mmstudy.models.training_cohort import EdgeCohort, edge_signs
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.deviations.names import deviation

_WHERE = "connectivity"
_LEAST = {"likeness": 0.1, "edge_spread": 0.02, "mean_edge": 0.1, "empty_share": 0.05, "largest_edge": 0.03}
"""Distance from the median that does no harm."""
_ABOUT = {"largest_edge": "99.9th percentile", "edge_spread": "standard deviation", "mean_edge": "mean"}
_NUM_LIMITS = 8
"""Two of the spread, of the mean and of the largest, one of likeness and of empty edges."""
_ROUNDING = 1e-5
_SAME_REGIONS = 0.3
"""Share of the usual likeness: another measure of the same regions has more, other regions have nearly none."""


def find_edge_deviations(
    edges_E: NDArray[Any], num_edges: int, settings: ConnectivitySettings | None, cohort: EdgeCohort | None
) -> list[Deviation]:
    """Return in what a connectome differs from what a model takes for granted.

    Parameters
    ----------
    num_edges
        That the model takes.
    settings
        How the model's edges are made; None where that is not known.
    cohort
        What the training participants have in common; None where they are not described.
    """
    if len(edges_E) != num_edges:
        return [_other_parcellation(f"{num_edges:,} edges", f"{len(edges_E):,}")]
    if not np.isfinite(edges_E).all():
        return [
            deviation(
                "out-of-range",
                _WHERE,
                expected="finite edges",
                got=f"{int((~np.isfinite(edges_E)).sum()):,} that are NaN or infinite",
                remedy="Compute the connectome again without the regions that have no signal.",
            )
        ]
    is_r = settings is not None and CONNECTOMES[settings.name].is_timeseries and not settings.fisher_z
    largest = float(np.abs(edges_E).max(initial=0.0))
    if is_r and largest > 1 + _ROUNDING:
        return [_other_measure("correlations from -1 to 1", f"values up to {largest:.2f}, as Fisher's z has")]
    return [] if cohort is None else _find_unlike(edges_E, cohort, may_be_r=settings is not None and settings.fisher_z)


def _find_unlike(edges_E: NDArray[Any], cohort: EdgeCohort, *, may_be_r: bool) -> list[Deviation]:
    signs = edge_signs(edges_E, cohort.mean_E)
    limits = {name: usual.limits(_NUM_LIMITS, least=_LEAST[name]) for name, usual in cohort.usual.items()}
    if "empty_share" in limits and signs["empty_share"] > limits["empty_share"][1]:
        return [
            deviation(
                "empty-regions",
                _WHERE,
                expected=f"at most {limits['empty_share'][1]:.0%} of the edges to be 0, as in the training scans",
                got=f"{signs['empty_share']:.0%}",
                remedy="Regions without a signal give edges of 0: look at the coverage of the functional scan.",
            )
        ]
    if "likeness" in limits and not signs["likeness"] >= limits["likeness"][0]:
        usual_likeness = cohort.usual["likeness"].median
        least = limits["likeness"][0]
        expected = f"likeness to the mean of {cohort.people} training participants (correlation) of {least:.2f} or more"
        name_it = _other_measure if signs["likeness"] > _SAME_REGIONS * usual_likeness else _other_parcellation
        return [name_it(expected, f"{signs['likeness']:.2f}")]
    for name, words in _ABOUT.items():
        low, high = limits.get(name, (-np.inf, np.inf))
        if not low <= signs[name] <= high:
            guess = ", as r has where the model expects Fisher's z" if may_be_r and signs[name] < low else ""
            return [_other_measure(f"edges with a {words} of {low:.3f} to {high:.3f}", f"{signs[name]:.3f}{guess}")]
    return []


def _other_parcellation(expected: str, got: str) -> Deviation:
    return deviation(
        "other-parcellation",
        _WHERE,
        expected=expected,
        got=got,
        remedy="Use the model's atlas, with its regions in its order.",
    )


def _other_measure(expected: str, got: str) -> Deviation:
    return deviation(
        "other-measure",
        _WHERE,
        expected=expected,
        got=got,
        remedy="Compute the model's measure: the README of its bundle, or the study of the run, names it.",
    )
