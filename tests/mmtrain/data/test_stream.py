from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmdata.errors import StoreError
from mmdata.store.array import open_array
from mmdata.store.schema import AUGMENTED_DIMENSIONS, EDGE_DIMENSIONS, VOLUME_DIMENSIONS, StudyLayout
from mmdata.store.spec import ArraySpec, ensure_array
from mmtrain.data.stream import (
    BatchRequest,
    StoredBatch,
    Stores,
    allocate_channels,
    open_stores,
    stream_batches,
    to_channels,
)
from mmtrain.errors import TrainError

SIDE, ROWS, COPIES, EDGES = 8, 20, 3, 12
CPU = torch.device("cpu")
HOLE = 13
"""A row that is never stored."""


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> StudyLayout:
    """Twenty rows of random t1 and flair, three copies of t1, and connectivity; one row is missing everywhere."""
    layout = StudyLayout(tmp_path_factory.mktemp("stream"))
    rng = np.random.default_rng(1)
    cube = (SIDE, SIDE, SIDE)
    for modality in ("t1", "flair"):
        store(layout.volume_array(modality, SIDE), rng.integers(0, 65535, (ROWS, *cube)), VOLUME_DIMENSIONS)
    store(layout.augmented_array("t1", SIDE), rng.integers(0, 65535, (COPIES, ROWS, *cube)), AUGMENTED_DIMENSIONS)
    store(layout.connectivity_array("glasser360"), rng.random((ROWS, EDGES)), EDGE_DIMENSIONS)
    return layout


def store(path: Path, values: NDArray[np.number], dimensions: tuple[str, ...]) -> None:
    row_axis = dimensions.index("sample")
    dtype = "float32" if values.dtype.kind == "f" else "uint16"
    spec = ArraySpec(
        path=path,
        shape=values.shape,
        row_axis=row_axis,
        rows_per_shard=8,
        dtype=dtype,
        codec="zstd",
        dimensions=dimensions,
    )
    ensure_array(spec)
    array = open_array(path)
    values = values.astype(dtype)
    np.moveaxis(values, row_axis, 0)[HOLE] = np.nan if dtype == "float32" else 65535
    for copy in range(len(values)) if row_axis else [None]:
        rows = values if copy is None else values[copy]
        for start in range(0, ROWS, 8):
            array.write_shard(start, rows[start : start + 8], copy=copy)


def open_all(layout: StudyLayout, *modalities: str, copies: int | None = None) -> Stores:
    return open_stores(layout, modalities, side=SIDE, connectivity="glasser360", copies=copies)


def ask(rows: list[int], copies: list[int] | None = None) -> BatchRequest:
    return BatchRequest(np.arange(len(rows)), np.asarray(rows), np.asarray(copies or [0] * len(rows)))


stored_rows = st.integers(0, ROWS - 1).filter(lambda row: row != HOLE)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.tuples(stored_rows, st.integers(0, COPIES)), min_size=1, max_size=6), min_size=1, max_size=7),
    st.sampled_from([0, 10_000, 1 << 30]),
)
def test_batches_are_the_rows_that_zarr_python_reads_in_the_order_asked_for(
    layout: StudyLayout, wanted: list[list[tuple[int, int]]], prefetch_bytes: int
) -> None:
    original = zarr.open_array(layout.volume_array("t1", SIDE), mode="r")[:]
    augmented = zarr.open_array(layout.augmented_array("t1", SIDE), mode="r")[:]
    edges = zarr.open_array(layout.connectivity_array("glasser360"), mode="r")[:]
    requests = [ask([row for row, _ in batch], [copy for _, copy in batch]) for batch in wanted]
    stores = open_all(layout, "t1", "connectivity")
    num_batches = 0
    for batch, request in zip(stream_batches(stores, requests, prefetch_bytes=prefetch_bytes), requests, strict=True):
        assert batch.request is request
        for i, (row, copy) in enumerate(wanted[num_batches]):
            # Copy k lies at index k - 1; copy 0 is the volume itself, and connectivity has no copies.
            expected = augmented[copy - 1, row] if copy else original[row]
            assert (batch.stored["t1"][i].numpy() == expected).all()
            assert (batch.stored["connectivity"][i].numpy() == edges[row]).all()
        assert {len(tensor) for tensor in batch.stored.values()} == {len(request.rows)}
        num_batches += 1
    assert num_batches == len(wanted)


def test_a_modality_without_copies_is_read_from_its_volumes(layout: StudyLayout) -> None:
    stores = open_all(layout, "t1", "flair", copies=0)
    batch = next(stream_batches(stores, [ask([3, 4], [2, 0])], prefetch_bytes=0))
    for modality in ("t1", "flair"):
        expected = zarr.open_array(layout.volume_array(modality, SIDE), mode="r")[3:5]
        assert (batch.stored[modality].numpy() == expected).all()


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize("modality", ["t1", "connectivity"])
def test_a_row_that_was_never_stored_is_refused(layout: StudyLayout, modality: str, copy: int) -> None:
    batches = stream_batches(open_all(layout, modality), [ask([1, 2]), ask([4, HOLE], [0, copy])], prefetch_bytes=0)
    next(batches)
    with pytest.raises(StoreError, match=rf"(?i)row {HOLE} of {modality}/\w+ was never stored.* mm "):
        next(batches)


def test_no_request_is_no_batch(layout: StudyLayout) -> None:
    assert list(stream_batches(open_all(layout, "t1"), [], prefetch_bytes=0)) == []


@pytest.mark.parametrize(
    ("modalities", "copies", "expected"),
    [
        (("t1",), None, 3),
        (("t1",), 2, 2),
        (("t1",), 0, 0),
        (("t1", "flair"), None, 0),
        (("t1", "connectivity"), None, 3),
        (("connectivity",), None, 0),
    ],
)
def test_the_copies_used_are_those_every_volume_has(
    layout: StudyLayout, modalities: tuple[str, ...], copies: int | None, expected: int
) -> None:
    assert open_all(layout, *modalities, copies=copies).num_copies == expected


def test_more_copies_than_there_are_is_refused_with_the_command(layout: StudyLayout) -> None:
    with pytest.raises(TrainError, match=r"4 .* asked for and 3 exist .* mm precompute-augs --copies 4 --side 8"):
        open_all(layout, "t1", copies=4)


def test_an_array_that_is_not_there_is_refused_by_name(layout: StudyLayout) -> None:
    with pytest.raises(StoreError, match=r"There is no array volumes\.zarr/dwi/8"):
        open_all(layout, "dwi")


@pytest.mark.parametrize(("copy", "damaged"), [(0, "volumes.zarr/t1/8"), (1, "augmented.zarr/t1/8")])
def test_damaged_bytes_are_refused(tmp_path: Path, copy: int, damaged: str) -> None:
    broken = StudyLayout(tmp_path)
    rng = np.random.default_rng(2)
    cube = (SIDE, SIDE, SIDE)
    store(broken.volume_array("t1", SIDE), rng.integers(0, 65535, (ROWS, *cube)), VOLUME_DIMENSIONS)
    store(broken.augmented_array("t1", SIDE), rng.integers(0, 65535, (1, ROWS, *cube)), AUGMENTED_DIMENSIONS)
    shard = next(file for file in sorted((tmp_path / damaged).rglob("c/**/0")) if file.is_file())
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(StoreError, match=rf"{damaged} is damaged"):
        list(stream_batches(open_all(broken, "t1"), [ask(list(range(8)), [copy] * 8)], prefetch_bytes=0))


@pytest.mark.parametrize(("dtype", "largest"), [(np.uint16, 65535), (np.uint8, 255), (np.float32, 1)])
def test_channels_are_those_read_in_the_order_flair_t1_dwi(dtype: type[np.number], largest: int) -> None:
    values = {"t1": [0, largest], "flair": [largest, 0]}
    stored = {
        modality: torch.from_numpy(np.stack([np.full((4, 4, 4), value, dtype) for value in pair]))
        for modality, pair in values.items()
    }
    channels = to_channels(StoredBatch(ask([0, 1]), stored), allocate_channels(5, 4, 2, CPU), "stored")
    assert channels.dtype == torch.float32
    assert channels.shape == (2, 2, 4, 4, 4)
    assert channels.amin((2, 3, 4)).tolist() == channels.amax((2, 3, 4)).tolist() == [[1, -1], [-1, 1]]


def test_every_integer_keeps_its_place_between_the_ends() -> None:
    stored = {"dwi": torch.arange(65536, dtype=torch.int32).reshape(16, 16, 16, 16).to(torch.uint16)}
    channels = to_channels(StoredBatch(ask(list(range(16))), stored), allocate_channels(16, 16, 1, CPU), "stored")
    values = channels[:, 0].flatten().double()
    assert (values.diff() > 0).all()
    assert torch.allclose(values, torch.linspace(-1, 1, 65536, dtype=torch.float64), atol=2e-7)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint8, np.float32])
def test_min_max_stretches_each_volume_of_each_modality_by_itself(dtype: type[np.number]) -> None:
    rng = np.random.default_rng(4)
    scale = 1 if dtype is np.float32 else np.iinfo(dtype).max
    bounds = {"t1": [(0.0, 0.6), (0.2, 0.9)], "flair": [(0.1, 0.5), (0.0, 1.0)]}
    stored = {
        name: np.stack([(scale * rng.uniform(*pair, (4, 4, 4))).astype(dtype) for pair in pairs])
        for name, pairs in bounds.items()
    }
    batch = StoredBatch(ask([0, 1]), {name: torch.from_numpy(values) for name, values in stored.items()})
    channels = to_channels(batch, allocate_channels(3, 4, 2, CPU), "min-max")
    for index, name in enumerate(("flair", "t1")):
        for found, volume in zip(channels[:, index].numpy(), stored[name].astype(np.float64), strict=True):
            expected = 2 * (volume - volume.min()) / (volume.max() - volume.min()) - 1
            np.testing.assert_allclose(found, expected, atol=3e-7)
            assert (found.min(), found.max()) == pytest.approx((-1, 1), abs=3e-7)


def test_a_volume_of_one_value_is_background_after_min_max() -> None:
    stored = {"dwi": torch.full((1, 4, 4, 4), 7, dtype=torch.uint16)}
    channels = to_channels(StoredBatch(ask([0]), stored), allocate_channels(1, 4, 1, CPU), "min-max")
    assert (channels == -1).all()


def test_a_row_ingested_after_the_copies_were_made_asks_for_its_copies(tmp_path: Path) -> None:
    layout = StudyLayout(tmp_path)
    cubes = np.random.default_rng(3).integers(0, 65535, (ROWS, SIDE, SIDE, SIDE))
    store(layout.volume_array("t1", SIDE), cubes, VOLUME_DIMENSIONS)
    ensure_array(
        ArraySpec(
            path=layout.augmented_array("t1", SIDE),
            shape=(1, ROWS - 5, SIDE, SIDE, SIDE),
            row_axis=1,
            rows_per_shard=8,
            dtype="uint16",
            codec="zstd",
            dimensions=AUGMENTED_DIMENSIONS,
        )
    )
    batches = stream_batches(open_all(layout, "t1"), [ask([0, ROWS - 1], [0, 1])], prefetch_bytes=0)
    with pytest.raises(
        StoreError, match=rf"Copy 1 of row {ROWS - 1} of t1/8 .* mm precompute-augs --copies 1 --side 8"
    ):
        next(batches)
