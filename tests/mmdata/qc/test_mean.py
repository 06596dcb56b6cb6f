from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmdata.qc.mean
from mmdata.errors import StoreError
from mmdata.qc.mean import average_rows, correlate_with_mean, read_batches, spread_evenly
from mmdata.store.array import open_array
from mmdata.store.rows import missing_value
from mmdata.store.spec import ArraySpec, ensure_array

NUM_ROWS = 20


def ignore(_: int) -> None:
    pass


@pytest.fixture
def spec(tmp_path: Path) -> ArraySpec:
    """20 rows in shards of 8, all stored but row 13."""
    spec = ArraySpec(
        path=tmp_path / "volumes.zarr" / "t1" / "8",
        shape=(NUM_ROWS, 8, 8, 8),
        row_axis=0,
        rows_per_shard=8,
        dtype="uint16",
        codec="zstd",
        dimensions=("sample", "x", "y", "z"),
    )
    ensure_array(spec)
    rows = np.random.default_rng(0).integers(0, 65535, spec.shape).astype(np.uint16)
    rows[13] = missing_value("uint16")
    for start in range(0, NUM_ROWS, 8):
        open_array(spec.path).write_shard(start, rows[start : start + 8])
    return spec


def readable_rows(spec: ArraySpec) -> list[int]:
    array = open_array(spec.path)

    def is_readable(row: int) -> bool:
        try:
            array.read_rows([(row,)])
        except StoreError:
            return False
        return True

    return [row for row in range(NUM_ROWS) if is_readable(row)]


def damage_one_chunk(spec: ArraySpec) -> None:
    shard = spec.path / "c" / "0" / "0" / "0" / "0"
    content = bytearray(shard.read_bytes())
    content[20] ^= 0xFF
    shard.write_bytes(content)


@pytest.mark.parametrize("batch_rows", [1, 3, 7, 20])
@pytest.mark.parametrize(("dtype", "offset"), [("uint16", 0), ("float32", 0), ("float32", 1e6)])
def test_mean_and_deviation_equal_numpys_for_any_batch(batch_rows: int, dtype: str, offset: float) -> None:
    rows = (np.random.default_rng(1).uniform(0, 60000, (20, 5, 4, 3)) + offset).astype(dtype)
    starts = range(0, 20, batch_rows)
    average = average_rows(
        (list(range(20))[start : start + batch_rows], rows[start : start + batch_rows]) for start in starts
    )
    assert average is not None
    assert average.rows == tuple(range(20))
    assert np.allclose(average.mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-12)
    assert np.allclose(average.deviation, rows.std(axis=0, dtype=np.float64), rtol=1e-9)


def test_a_small_deviation_far_from_zero_is_kept() -> None:
    rows = 1e9 + np.random.default_rng(1).normal(0, 1e-3, (50, 4))
    average = average_rows(([row], rows[row : row + 1]) for row in range(50))
    assert average is not None
    assert np.allclose(average.deviation, rows.std(axis=0), rtol=1e-3)


def test_one_row_deviates_by_nothing_and_no_row_has_no_mean() -> None:
    average = average_rows([([4], np.ones((1, 3)))])
    assert average is not None
    assert average.deviation.tolist() == [0, 0, 0]
    assert average_rows([]) is None


def test_rows_that_cannot_be_read_are_passed_over_and_the_rest_of_their_batch_is_not(spec: ArraySpec) -> None:
    before = {row: open_array(spec.path).read_rows([(row,)])[0] for row in readable_rows(spec)}
    damage_one_chunk(spec)
    readable = readable_rows(spec)
    assert len(readable) == NUM_ROWS - 2
    assert 13 not in readable
    average = average_rows(read_batches(open_array(spec.path), range(NUM_ROWS), ignore))
    assert average is not None
    assert sorted(average.rows) == readable
    assert np.allclose(average.mean, np.mean([before[row] for row in readable], axis=0))


def test_progress_counts_every_row_readable_or_not(spec: ArraySpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmdata.qc.mean, "MAX_BATCH_BYTES", 3 * 8**3 * 8)
    damage_one_chunk(spec)
    tried: list[int] = []
    batches = list(read_batches(open_array(spec.path), range(NUM_ROWS), tried.append))
    assert tried == [3] * 6 + [2]
    assert max(len(rows) for rows, _ in batches) == 3


@pytest.mark.parametrize("dtype", ["uint16", "uint8", "float32"])
def test_correlation_equals_numpys(dtype: str) -> None:
    rng = np.random.default_rng(4)
    mean = rng.uniform(0, 200, (6, 6, 6))
    rows = (mean + rng.uniform(0, 50, (9, 6, 6, 6))).astype(dtype)
    found = correlate_with_mean([([0, 1, 2, 3], rows[:4]), ([10, 11, 12, 13, 14], rows[4:])], mean)
    assert list(found) == [0, 1, 2, 3, 10, 11, 12, 13, 14]
    expected = [np.corrcoef(row.ravel(), mean.ravel())[0, 1] for row in rows]
    assert np.allclose(list(found.values()), expected, atol=1e-5)


def test_a_constant_row_or_mean_is_like_nothing() -> None:
    mean = np.arange(8.0)
    assert correlate_with_mean([([0], np.full((1, 8), 7))], mean) == {0: 0.0}
    assert correlate_with_mean([([0], np.arange(8.0)[None])], np.full(8, 3.0)) == {0: 0.0}


@given(st.sets(st.integers(0, 10_000), max_size=300), st.integers(2, 100))
def test_rows_are_taken_evenly(rows: set[int], limit: int) -> None:
    ordered = sorted(rows)
    taken = spread_evenly(ordered, limit)
    assert len(taken) == len(set(taken)) == min(limit, len(ordered))
    assert taken == sorted(taken)
    assert set(taken) <= rows
    if ordered:
        assert (taken[0], taken[-1]) == (ordered[0], ordered[-1])
    places = [ordered.index(row) for row in taken]
    assert max(np.diff(places), default=1) <= len(ordered) // max(1, min(limit, len(ordered)) - 1) + 1


def test_memory_is_bounded_by_the_batch(spec: ArraySpec, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    read = mmdata.store.array.StoredArray.read_rows

    def counted(self: Any, indices: Any) -> Any:
        sizes.append(len(indices))
        return read(self, indices)

    monkeypatch.setattr(mmdata.store.array.StoredArray, "read_rows", counted)
    monkeypatch.setattr(mmdata.qc.mean, "MAX_BATCH_BYTES", 4 * 8**3 * 8)
    average_rows(read_batches(open_array(spec.path), range(8), ignore))
    assert sizes == [4, 4]
