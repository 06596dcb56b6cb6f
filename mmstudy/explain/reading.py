"""Read stored rows as a model takes them, a batch at a time.

Stored rows lie from left to right. A model whose volumes ran from right to left gets them flipped.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmbase.names import CONNECTIVITY
from mmdata.store.array import StoredArray
from mmdata.study import Study
from mmdata.volume.geometry import Matrix44, flipped_affine, opposite_axes
from mmstudy.explain.people import People, stored_inputs
from mmstudy.models.find import FoundModel
from mmstudy.models.orientation import axes_to_flip
from mmstudy.own_stores import open_own_stores
from mmtrain.data.stream import BatchRequest, StoredBatch, Stores, stream_batches
from mmtrain.errors import TrainError
from mmtrain.explain.inputs import Inputs
from mmtrain.models.trained import TrainedModel

PREFETCH_BYTES = 64 << 20
_BATCH_OF_EDGES = 64
_CLOSE_MM = 1e-3


def stream_inputs(study: Study, model: FoundModel, loaded: TrainedModel, people: People, size: int) -> Iterator[Inputs]:
    """Yield the inputs of some people in their order, `size` samples at a time.

    Raises
    ------
    StoreError
        An array or a row is missing.
    TrainError
        The study's volumes do not lie where the model's do.
    """
    if not (modalities := stored_inputs(model.card)):
        for positions in _portions(len(people), size):
            yield _to_inputs(loaded, None, people, positions, {})
        return
    stores = _open(study, model, modalities)
    flips = {name: _axes_to_flip(model, name, stores.originals[name]) for name in model.card.shape.volumes}
    for batch in _stream(stores, people.rows, size):
        yield _to_inputs(loaded, batch, people, batch.request.positions, flips)


def mean_edges(study: Study, model: FoundModel, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the mean connectivity of some rows, shape (E,).

    Raises
    ------
    StoreError
        The array or a row is missing.
    """
    stores = _open(study, model, (CONNECTIVITY,))
    total = np.zeros(stores.originals[CONNECTIVITY].row_shape)
    for batch in _stream(stores, rows, _BATCH_OF_EDGES):
        total += batch.stored[CONNECTIVITY].double().sum(0).numpy()
    return np.asarray(total / len(rows), np.float32)


def affine_of(model: FoundModel, modality: str) -> Matrix44:
    """Return where the voxels of a model's volumes lie: voxel to MNI152, RAS+ mm."""
    stated = model.card.stores.get(modality, {}).get("affine_ras")
    if stated is None and model.contract.volumes is not None:
        return model.contract.volumes.grid(model.card.shape.side).affine_44
    return np.asarray(stated, np.float64)


def in_ras(volume_XYZ: NDArray[Any], affine_44: Matrix44) -> tuple[NDArray[Any], Matrix44]:
    """Return a volume with axes R, A, S, and its affine."""
    axes = opposite_axes(affine_44, np.eye(4))
    return np.flip(volume_XYZ, axes), flipped_affine(affine_44, volume_XYZ.shape, axes)


def _open(study: Study, model: FoundModel, modalities: tuple[str, ...]) -> Stores:
    connectivity = model.contract.connectivity
    name = connectivity.name if connectivity is not None else ""
    return open_own_stores(study, modalities, side=model.card.shape.side, connectivity=name)


def _stream(stores: Stores, rows: NDArray[np.int64], size: int) -> Iterator[StoredBatch]:
    requests = [
        BatchRequest(positions=positions, rows=rows[positions], copies=np.zeros(len(positions), np.int64))
        for positions in _portions(len(rows), size)
    ]
    return stream_batches(stores, requests, prefetch_bytes=PREFETCH_BYTES)


def _portions(num: int, size: int) -> list[NDArray[np.int64]]:
    return [np.arange(start, min(start + size, num)) for start in range(0, num, size)]


def _to_inputs(
    loaded: TrainedModel,
    batch: StoredBatch | None,
    people: People,
    positions: NDArray[np.int64],
    flips: dict[str, tuple[int, ...]],
) -> Inputs:
    stored = {} if batch is None else {name: rows.numpy() for name, rows in batch.stored.items()}
    volumes, edges, features = loaded.network_inputs(
        {name: np.flip(stored[name], tuple(axis + 1 for axis in axes)) for name, axes in flips.items()},
        stored.get(CONNECTIVITY),
        {name: values[positions] for name, values in people.features.items()},
    )
    return Inputs(volumes_BCXYZ=volumes, edges_BE=edges, features_BF=features)


def _axes_to_flip(model: FoundModel, modality: str, array: StoredArray) -> tuple[int, ...]:
    """Return the axes along which the model's volumes run the other way than the stored ones."""
    of_model = affine_of(model, modality)
    stated = array.attributes.get("affine_ras")
    of_study = of_model if stated is None else np.asarray(stated, np.float64)
    axes = axes_to_flip(of_model, of_study)
    if not np.allclose(flipped_affine(of_study, array.row_shape, axes), of_model, atol=_CLOSE_MM):
        raise TrainError(
            f"The model takes {modality} on another grid than this study stores: its voxels lie elsewhere in MNI152 "
            "space.",
            "Explain it with samples of a study that was ingested on the model's own grid.",
        )
    return axes
