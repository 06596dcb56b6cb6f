"""Rows that are kept in memory: what is given out is what the store holds, and no more is held than was allowed."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.errors import StoreError
from mmdata.store.array import StoredArray, open_array
from mmdata.store.schema import AUGMENTED_DIMENSIONS, VOLUME_DIMENSIONS
from mmdata.store.spec import ArraySpec, ensure_array
from mmtrain.data.row_cache import CUDA_BLOCK_BYTES, RowCache
from mmtrain.data.stream import BatchRequest, StoredBatch, Stores, complete_batches, stream_batches
from mmtrain.data.transfer import transfer_batches

SIDE, ROWS, ROWS_PER_SHARD, COPIES = 4, 12, 4, 2
ROW_BYTES = 2 * SIDE**3
CPU = torch.device("cpu")
T1 = "volumes.zarr/t1/4"


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """Two modalities of random rows, and two copies of one of them."""
    folder = tmp_path_factory.mktemp("rows")
    originals = {name: make(folder / "volumes.zarr" / name / "4", seed) for seed, name in enumerate(("t1", "flair"))}
    return Stores(originals, {"t1": make(folder / "augmented.zarr/t1/4", 2, copies=COPIES)}, COPIES)


def make(path: Path, seed: int, copies: int = 0) -> StoredArray:
    shape = (*[copies] * bool(copies), ROWS, SIDE, SIDE, SIDE)
    values = np.random.default_rng(seed).integers(0, 65535, shape).astype(np.uint16)
    ensure_array(
        ArraySpec(
            path=path,
            shape=shape,
            row_axis=1 if copies else 0,
            rows_per_shard=ROWS_PER_SHARD,
            dtype="uint16",
            codec="zstd",
            dimensions=AUGMENTED_DIMENSIONS if copies else VOLUME_DIMENSIONS,
        )
    )
    array = open_array(path)
    for copy in range(copies) if copies else [None]:
        rows = values if copy is None else values[copy]
        for start in range(0, ROWS, ROWS_PER_SHARD):
            array.write_shard(start, rows[start : start + ROWS_PER_SHARD], copy=copy)
    return array


def only(stores: Stores, modality: str) -> Stores:
    return Stores({modality: stores.originals[modality]}, {}, 0)


def ask(rows: Sequence[int], copies: Sequence[int] | None = None) -> BatchRequest:
    return BatchRequest(np.arange(len(rows)), np.asarray(rows), np.asarray(copies or [0] * len(rows)))


def read(stores: Stores, requests: list[BatchRequest], cache: RowCache | None = None) -> Iterator[StoredBatch]:
    batches = stream_batches(stores, requests, prefetch_bytes=0, cache=cache)
    return batches if cache is None else complete_batches(batches, cache)


def allow(stores: Stores, num_bytes: int) -> RowCache:
    cache = RowCache(CPU)
    cache.begin_run(needs(stores), num_bytes)
    return cache


def needs(stores: Stores) -> dict[str, int]:
    whole = {array.identity: ROWS * ROW_BYTES for array in stores.originals.values()}
    return whole | {array.identity: COPIES * ROWS * ROW_BYTES for array in stores.augmented.values()}


def values(batches: Iterator[StoredBatch]) -> list[dict[str, np.ndarray]]:
    """Return copies of what batches hold, each of which is valid only until the next."""
    return [{name: rows.numpy().copy() for name, rows in batch.stored.items()} for batch in batches]


requests_of_an_epoch = st.lists(
    st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(0, COPIES)), min_size=1, max_size=5),
    min_size=1,
    max_size=6,
)


@settings(max_examples=40)
@given(st.lists(st.tuples(requests_of_an_epoch, st.integers(0, 50)), min_size=1, max_size=4))
def test_batches_are_those_of_the_stores_and_no_more_is_held_than_allowed(
    stores: Stores, runs: list[tuple[list[list[tuple[int, int]]], int]]
) -> None:
    cache = RowCache(CPU)
    for epoch, allowed_rows in runs:
        requests = [ask([row for row, _ in batch], [copy for _, copy in batch]) for batch in epoch]
        cache.begin_run(needs(stores), allowed_rows * ROW_BYTES)
        for expected in (values(read(stores, requests)),) * 2:
            batches = read(stores, requests, cache)
            for batch, rows in zip(batches, expected, strict=True):
                assert all((batch.stored[name].numpy() == rows[name]).all() for name in rows)
                assert bytes_of(cache) == cache.held_bytes <= allowed_rows * ROW_BYTES


def bytes_of(cache: RowCache) -> int:
    """Count what the cache's tensors take, apart from its own account."""
    return sum(row.values.nbytes for held in cache._arrays.values() for row in held.rows.values())


def test_a_row_is_read_from_the_store_once(stores: Stores, rows_read: list[int]) -> None:
    cache = allow(stores, 1 << 20)
    requests = [ask([0, 1, 2], [0, 1, 2]), ask([3, 4, 5])]
    values(read(stores, requests, cache))
    assert sum(rows_read) == 2 * 6
    rows_read.clear()
    values(read(stores, requests, cache))
    values(read(only(stores, "flair"), [ask([5, 0])], cache))
    assert rows_read == []
    values(read(stores, [ask([0, 6], [0, 0])], cache))
    assert sum(rows_read) == 2  # row 6 of both


def test_what_does_not_fit_is_read_again_and_what_fits_is_not(stores: Stores, rows_read: list[int]) -> None:
    t1 = only(stores, "t1")
    cache = allow(t1, 5 * ROW_BYTES + ROW_BYTES // 2)
    epoch = [ask(range(start, start + 4)) for start in range(0, ROWS, 4)]
    for _ in range(3):
        rows_read.clear()
        values(read(t1, epoch, cache))
    assert sum(rows_read) == ROWS - 5
    assert cache.held_bytes == 5 * ROW_BYTES


@pytest.mark.parametrize("is_written_again", [False, True], ids=["erased", "written again"])
def test_a_row_that_changes_in_the_store_is_not_given_out_any_more(tmp_path: Path, *, is_written_again: bool) -> None:
    array = make(tmp_path / T1, 0)
    stores = Stores({"t1": array}, {}, 0)
    cache = allow(stores, 1 << 20)
    values(read(stores, [ask(range(ROWS))], cache))
    if is_written_again:
        array.write_shard(0, np.full((ROWS_PER_SHARD, SIDE, SIDE, SIDE), 7, np.uint16))
        (batch,) = values(read(stores, [ask([0, ROWS - 1])], cache))
        assert (batch["t1"][0] == 7).all()
    else:
        array.erase_rows([1])
        with pytest.raises(StoreError, match="Row 1 of t1"):
            values(read(stores, [ask([1])], cache))


def test_no_byte_of_an_erased_row_is_held_once_the_next_run_begins(tmp_path: Path) -> None:
    array = make(tmp_path / T1, 0)
    stores = Stores({"t1": array}, {}, 0)
    cache = allow(stores, 1 << 20)
    values(read(stores, [ask(range(ROWS))], cache))
    array.erase_rows([1])
    cache.begin_run({}, 1 << 20)
    assert cache.held_bytes == (ROWS - ROWS_PER_SHARD) * ROW_BYTES


def test_an_array_that_was_replaced_is_another(tmp_path: Path) -> None:
    cache = RowCache(CPU)
    for seed in (0, 1):
        shutil.rmtree(tmp_path / T1, ignore_errors=True)
        stores = Stores({"t1": make(tmp_path / T1, seed)}, {}, 0)
        cache.begin_run(needs(stores), 1 << 20)
        (expected,), (got,) = values(read(stores, [ask([2])])), values(read(stores, [ask([2])], cache))
        assert (got["t1"] == expected["t1"]).all()


def test_rows_that_a_run_does_not_read_make_room_for_its_own(stores: Stores, rows_read: list[int]) -> None:
    t1, flair, whole = only(stores, "t1"), only(stores, "flair"), [ask(range(ROWS))]
    cache = allow(t1, 20 * ROW_BYTES)
    values(read(t1, whole, cache))
    cache.begin_run(needs(flair), 20 * ROW_BYTES)
    assert cache.held_bytes == 8 * ROW_BYTES
    values(read(flair, whole, cache))
    assert cache.held_bytes == 20 * ROW_BYTES
    rows_read.clear()
    values(read(flair, whole, cache))
    assert rows_read == []
    cache.begin_run(needs(flair), 5 * ROW_BYTES)  # less is free than before
    assert cache.held_bytes == 5 * ROW_BYTES


def test_rows_whose_versions_cannot_be_told_are_kept_for_one_run(tmp_path: Path) -> None:
    array = make(tmp_path / T1, 0)
    unknown = StoredArray(array.location, array.handle, array.attributes, None)  # as one in a bucket
    stores = Stores({"t1": unknown}, {}, 0)
    cache = allow(stores, 1 << 20)
    expected = values(read(stores, [ask([3, 1])]))
    for _ in range(2):
        assert (values(read(stores, [ask([3, 1])], cache))[0]["t1"] == expected[0]["t1"]).all()
    assert cache.held_bytes == 2 * ROW_BYTES
    cache.begin_run(needs(stores), 1 << 20)
    assert cache.held_bytes == 0


def test_a_row_on_a_gpu_counts_as_much_as_its_blocks() -> None:
    assert RowCache(torch.device("cuda")).size_of(CUDA_BLOCK_BYTES + 1) == 2 * CUDA_BLOCK_BYTES


def test_only_what_was_read_is_copied_to_a_device(stores: Stores) -> None:
    cache = allow(only(stores, "t1"), 1 << 20)
    values(read(only(stores, "t1"), [ask([0, 1])], cache))
    (batch,) = stream_batches(Stores(stores.originals, {}, 0), [ask([0, 1])], prefetch_bytes=0, cache=cache)
    assert not batch.was_read("t1")
    assert batch.was_read("flair")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_rows_on_a_gpu_give_the_batches_of_the_stores(stores: Stores) -> None:
    device = torch.device("cuda", 0)
    cache = RowCache(device)
    cache.begin_run(needs(stores), 30 * CUDA_BLOCK_BYTES)
    rng = np.random.default_rng(3)
    for _ in range(4):
        requests = [ask(rng.permutation(ROWS)[:5].tolist(), rng.integers(0, COPIES + 1, 5).tolist()) for _ in range(6)]
        expected = values(read(stores, requests))
        streamed = stream_batches(stores, requests, prefetch_bytes=0, pin_memory=True, cache=cache)
        batches = complete_batches(transfer_batches(streamed, device), cache)
        for batch, rows in zip(batches, expected, strict=True):
            assert all((batch.stored[name].cpu().numpy() == rows[name]).all() for name in rows)
            assert cache.held_bytes <= 30 * CUDA_BLOCK_BYTES
    assert cache.held_bytes == 30 * CUDA_BLOCK_BYTES
