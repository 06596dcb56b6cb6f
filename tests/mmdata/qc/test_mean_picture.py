"""The mean of a modality as a picture of ten people at least."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from mmbase.names import CONNECTIVITY
from mmdata.qc.mean_picture import clustered_matrix, draw_mean
from tests.mmdata.qc.conftest import Cohort


def ignore(_: int) -> None:
    pass


@pytest.mark.parametrize("modality", ["t1", CONNECTIVITY])
def test_a_mean_is_drawn_of_ten_people_and_not_of_nine(make_cohort: Callable[..., Cohort], modality: str) -> None:
    cohort = make_cohort(10)
    drawn = draw_mean(cohort.study, modality, range(10), ignore)
    assert drawn is not None and drawn.num_samples == 10
    assert imread(BytesIO(drawn.png)).std() > 0
    assert draw_mean(cohort.study, modality, range(9), ignore) is None


def test_regions_of_a_block_lie_beside_each_other_in_a_clustered_matrix() -> None:
    rng = np.random.default_rng(3)
    block_of = rng.permutation(np.repeat([0, 1, 2], 6))
    one, other = np.triu_indices(18, 1)
    edges = np.where(block_of[one] == block_of[other], 0.8, 0.1) + rng.normal(0, 0.02, len(one))
    matrix = clustered_matrix(edges)
    for start in range(0, 18, 6):
        block = matrix[start : start + 6, start : start + 6]
        assert (block[~np.eye(6, dtype=bool)] > 0.5).all()
    assert (np.sort(matrix[~np.isnan(matrix)]) == np.sort(np.tile(edges.astype(np.float32), 2))).all()
