from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

import mmdata.qc.similarity
from mmdata.qc.similarity import MIN_SCANS, MIN_SIMILARITY, SimilarPair, find_similar
from mmdata.store.array import StoredArray, open_array
from mmdata.store.rows import missing_value
from mmdata.store.spec import ArraySpec, ensure_array

SIDE, NUM_SCANS, NUM_EDGES = 32, 40, 1225
ROWS_PER_SHARD = 16
Scans = NDArray[np.float64]


def ignore(_: int) -> None:
    pass


def draw_brains(num_scans: int = NUM_SCANS, seed: int = 0) -> Scans:
    """One anatomy with smooth variations of everyone's own, in [0, 1], background 0."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, SIDE)] * 3, indexing="ij")
    radius = np.sqrt((x / 0.8) ** 2 + (y / 0.9) ** 2 + ((z + 0.1) / 0.7) ** 2)
    anatomy = gaussian_filter(rng.normal(size=radius.shape), 2)
    own = np.stack([gaussian_filter(rng.normal(size=radius.shape), 1.5) for _ in range(num_scans)])
    return np.where(radius < 1, np.clip(0.5 + 0.12 * anatomy / anatomy.std() + 0.1 * own / own.std(), 0.05, 0.95), 0.0)


def draw_edges(num_scans: int = NUM_SCANS) -> Scans:
    rng = np.random.default_rng(1)
    return np.tanh(rng.normal(0.2, 0.3, NUM_EDGES) + 0.2 * rng.normal(size=(num_scans, NUM_EDGES)))


def store(folder: Path, scans: Scans, missing: Iterable[int] = ()) -> StoredArray:
    """Store scans as an ingest does: volumes as uint16, edges as float32."""
    is_volume = scans.ndim > 2
    spec = ArraySpec(
        path=folder / "volumes.zarr" / ("t1" if is_volume else "connectivity") / "scans",
        shape=scans.shape,
        row_axis=0,
        rows_per_shard=ROWS_PER_SHARD,
        dtype="uint16" if is_volume else "float32",
        codec="zstd",
        dimensions=("sample", "x", "y", "z") if is_volume else ("sample", "edge"),
    )
    ensure_array(spec)
    array = open_array(spec.path)
    rows = np.round(scans * 65535).astype(np.uint16) if is_volume else scans.astype(np.float32)
    for row in missing:
        rows[row] = missing_value(spec.dtype)
    for start in range(0, len(rows), ROWS_PER_SHARD):
        array.write_shard(start, rows[start : start + ROWS_PER_SHARD])
    return array


def people(num_scans: int = NUM_SCANS) -> list[str]:
    return [f"person {number}" for number in range(num_scans)]


def found_in(folder: Path, scans: Scans, participants: list[str] | None = None) -> list[SimilarPair]:
    return find_similar(store(folder, scans), range(len(scans)), participants or people(len(scans)), ignore)


def with_noise(scan: Scans) -> Scans:
    return np.clip(scan + (scan > 0) * np.random.default_rng(5).normal(0, 0.03, scan.shape), 0, 1)


def with_bias(scan: Scans) -> Scans:
    return scan * (0.9 + 0.1 * np.linspace(-1, 1, SIDE)[:, None, None])


VOLUME_COPIES: dict[str, Callable[[Scans], Scans]] = {
    "as it is": lambda scan: scan,
    "8 bits": lambda scan: np.round(scan * 255) / 255,
    "half as bright": lambda scan: scan / 2,
    "gamma": lambda scan: scan**1.1,
    "offset": lambda scan: np.where(scan > 0, scan + 0.03, 0),
    "noise": with_noise,
    "bias": with_bias,
}


@pytest.mark.parametrize("how", VOLUME_COPIES)
def test_a_copied_volume_is_found_however_it_was_saved(how: str, tmp_path: Path) -> None:
    scans = draw_brains()
    scans[31] = VOLUME_COPIES[how](scans[4])
    [pair] = found_in(tmp_path, scans)
    assert (pair.row, pair.other_row) == (4, 31)
    assert MIN_SIMILARITY < pair.similarity <= 1
    assert how != "as it is" or pair.similarity > 0.99999


@pytest.mark.parametrize("how", ["as it is", "half precision", "scaled", "Fisher z", "noise"])
def test_copied_edges_are_found_however_they_were_saved(how: str, tmp_path: Path) -> None:
    scans, rng = draw_edges(), np.random.default_rng(6)
    copies = {
        "as it is": scans[4],
        "half precision": scans[4].astype(np.float16),
        "scaled": 0.8 * scans[4],
        "Fisher z": np.arctanh(np.clip(scans[4], -0.999, 0.999)),
        "noise": scans[4] + rng.normal(0, 0.02, NUM_EDGES),
    }
    scans[31] = copies[how]
    assert [(pair.row, pair.other_row) for pair in found_in(tmp_path, scans)] == [(4, 31)]


@pytest.mark.parametrize("draw", [draw_brains, draw_edges])
def test_different_people_are_never_found(draw: Callable[[], Scans], tmp_path: Path) -> None:
    assert found_in(tmp_path, draw()) == []


def test_two_scans_of_one_participant_are_no_pair(tmp_path: Path) -> None:
    scans, participants = draw_brains(), people()
    scans[31] = scans[4]
    scans[32] = scans[4]
    participants[31] = participants[4]
    pairs = found_in(tmp_path, scans, participants)
    assert [(pair.row, pair.other_row) for pair in pairs] == [(4, 32), (31, 32)]


def oracle(scans: Scans) -> NDArray[np.float64]:
    """The similarities of all volumes, by least squares, scan by scan."""
    stored = np.round(scans * 65535)
    blocks = stored.reshape(len(scans), 16, 2, 16, 2, 16, 2).mean(axis=(2, 4, 6)).reshape(len(scans), -1)
    is_brain = blocks.sum(axis=0) > 0.1 * blocks.sum(axis=0).max()
    blocks = blocks[:, is_brain]
    mean = blocks.mean(axis=0)
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, 16)] * 3, indexing="ij")).reshape(3, -1)[:, is_brain]
    design = np.column_stack([np.ones_like(mean), mean / 65535, (mean / 65535) ** 2, *(mean / 65535 * places)])
    residuals = np.stack([scan - design @ np.linalg.lstsq(design, scan, rcond=None)[0] for scan in blocks])
    spread = residuals.std(axis=0)
    residuals /= np.maximum(spread, 0.2 * spread.max())
    residuals /= np.linalg.norm(residuals, axis=1, keepdims=True)
    return residuals @ residuals.T


def test_similarities_are_those_of_an_independent_computation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmdata.qc.similarity, "MIN_SIMILARITY", 0.05)
    scans = draw_brains()
    scans[7] = 0.5 * scans[2] + 0.5 * scans[3]
    expected = oracle(scans)
    pairs = found_in(tmp_path, scans)
    found = {(pair.row, pair.other_row): pair.similarity for pair in pairs}
    high = {(n, m) for n, m in combinations(range(len(scans)), 2) if expected[n, m] >= 0.05 + 1e-4}
    assert high <= found.keys()
    assert len(high) > 20
    assert list(found.values()) == pytest.approx([expected[pair] for pair in found], abs=1e-4)
    assert list(found.values()) == sorted(found.values(), reverse=True)


@pytest.mark.parametrize("scans_per_product", [1, 7, 20, 39])
def test_the_blocks_of_products_change_nothing(
    scans_per_product: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = draw_brains()
    scans[[1, 20, 39]] = scans[8]
    whole = found_in(tmp_path / "whole", scans)
    monkeypatch.setattr(mmdata.qc.similarity, "_SCANS_PER_PRODUCT", scans_per_product)
    parted = found_in(tmp_path / "parted", scans)
    key = [(pair.row, pair.other_row) for pair in whole]
    assert sorted(key) == list(combinations([1, 8, 20, 39], 2))
    assert sorted((pair.row, pair.other_row) for pair in parted) == sorted(key)
    assert [pair.similarity for pair in parted] == pytest.approx([pair.similarity for pair in whole], abs=1e-5)


def test_a_row_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    scans = draw_brains()
    scans[31] = scans[4]
    array = store(tmp_path, scans, missing=[0, 5])
    tried: list[int] = []
    pairs = find_similar(array, range(NUM_SCANS), people(), tried.append)
    assert [(pair.row, pair.other_row) for pair in pairs] == [(4, 31)]
    assert sum(tried) == NUM_SCANS


def test_only_the_rows_asked_for_are_compared(tmp_path: Path) -> None:
    scans = draw_brains()
    scans[31] = scans[4]
    array = store(tmp_path, scans)
    assert find_similar(array, range(31), people(31), ignore) == []
    rows = list(range(39, 2, -1))
    assert [(pair.row, pair.other_row) for pair in find_similar(array, rows, people(37), ignore)] == [(4, 31)]


def test_a_few_scans_are_not_judged(tmp_path: Path) -> None:
    scans = draw_brains(MIN_SCANS)
    scans[1] = scans[0]
    array = store(tmp_path, scans)
    assert len(find_similar(array, range(MIN_SCANS), people(MIN_SCANS), ignore)) == 1
    assert find_similar(array, range(MIN_SCANS - 1), people(MIN_SCANS - 1), ignore) == []


def test_scans_without_any_variation_are_like_nobody(tmp_path: Path) -> None:
    scans = draw_brains()
    scans[3], scans[5] = 0.0, 0.0
    assert found_in(tmp_path / "empty", scans) == []
    assert found_in(tmp_path / "same", np.broadcast_to(scans[0], scans.shape)) == []


def test_the_search_ends_when_there_is_no_end_of_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmdata.qc.similarity, "MAX_PAIRS", 10)
    scans = draw_brains()
    scans[10:30] = scans[8]
    assert len(found_in(tmp_path, scans)) == 10


@given(st.integers(1, 200), st.integers(1, 3))
def test_every_voxel_is_in_one_block_and_blocks_are_means(size: int, num_axes: int) -> None:
    pool = mmdata.qc.similarity._pooling_matrix(size, num_axes)
    assert ((pool > 0).sum(axis=1) == 1).all()
    assert pool.sum(axis=0) == pytest.approx(np.ones(pool.shape[1]))
    assert pool.shape[1] == min(size, 16 if num_axes > 1 else 512)
    counts = (pool > 0).sum(axis=0)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("modality", ["t1", "flair", "dwi", "connectivity"])
def test_people_of_a_release_are_never_taken_for_each_other(modality: str, study: Path) -> None:
    with duckdb.connect(str(study / "catalog.duckdb"), read_only=True) as connection:
        rows: list[tuple[Any, ...]] = connection.execute(
            "SELECT row, participant_key FROM samples JOIN scans USING (sample_id) "
            "WHERE modality = ? AND status = 'stored'",
            [modality],
        ).fetchall()
    array = open_array(study / "volumes.zarr" / modality / ("glasser360" if modality == "connectivity" else "64"))
    assert len(rows) >= MIN_SCANS
    assert find_similar(array, [row for row, _ in rows], [person for _, person in rows], ignore) == []
