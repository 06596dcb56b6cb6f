from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mmdata.volume.quantiles import percentiles

PERCENTS = st.lists(st.floats(0, 100), min_size=1, max_size=6)
FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


def expected(values: NDArray[Any], percents: Sequence[float]) -> NDArray[np.float64]:
    return np.asarray(np.percentile(values.astype(np.float64), percents))


@settings(max_examples=100)
@given(
    hnp.arrays(st.sampled_from(["int8", "uint8", "int16", "uint16", "int32", "uint32"]), st.integers(1, 60)), PERCENTS
)
def test_percentiles_of_integers_are_numpys(values: NDArray[Any], percents: list[float]) -> None:
    np.testing.assert_allclose(percentiles(values, percents), expected(values, percents), rtol=1e-9, atol=1e-6)


@settings(max_examples=100)
@given(hnp.arrays(np.float32, st.integers(1, 60), elements=FINITE), PERCENTS)
def test_percentiles_of_floats_of_either_sign_are_numpys(values: NDArray[np.float32], percents: list[float]) -> None:
    scale = float(np.abs(values).max())
    np.testing.assert_allclose(percentiles(values, percents), expected(values, percents), rtol=1e-9, atol=1e-12 * scale)


@pytest.mark.parametrize("outlier", [0.0, 3e38, -3e38])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_percentiles_of_a_brains_many_voxels_are_numpys(dtype: str, outlier: float) -> None:
    values = np.random.default_rng(4).normal(600, 200, 200_000).astype(dtype)
    if dtype == "float32":
        values[17] = outlier
    percents = (0, 0.5, 25, 50, 75, 99.5, 100)
    np.testing.assert_allclose(percentiles(values, percents), expected(values, percents), rtol=1e-12)


def test_percentiles_leave_their_input_alone_and_take_a_view() -> None:
    block = np.random.default_rng(4).normal(size=(50, 40)).astype(np.float32)
    before = block.copy()
    np.testing.assert_allclose(percentiles(block[:, 3], [10.0, 90.0]), expected(before[:, 3], [10.0, 90.0]), rtol=1e-9)
    np.testing.assert_array_equal(block, before)
