"""A trunk as the run that takes it computes with it: its weights, and what it makes of everybody's volumes.

The volumes are read once for each trunk, as they are: of augmented copies it makes nothing.
Legend of shapes: B batch, N samples, D numbers of an embedding, M modalities.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import nn

from mmbase.lock import hold_lock
from mmdata.ledger.tombstones import read_retired_rows
from mmdata.store.schema import StudyLayout
from mmtrain.config.run import RunConfig
from mmtrain.data.cohort import Cohort
from mmtrain.data.stream import BatchRequest, StoredBatch, Stores, allocate_channels, stream_batches, to_channels
from mmtrain.data.transfer import transfer_batches
from mmtrain.errors import TrainError
from mmtrain.models.registry import load_architecture
from mmtrain.models.trained import load_model
from mmtrain.trunks.embeddings import Embeddings, Origin, read_embeddings, write_embeddings
from mmtrain.trunks.trunk import TrunkRun, open_trunk, require_fitting, require_unseen

NUM_COMPARED = 8
"""Rows whose volumes are read again to see whether embeddings were made from them; they are spread over the cohort."""
_WAIT_SECONDS = 24 * 60 * 60
"""For another run that makes embeddings of the same trunk, which may be many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedTrunk:
    """What a run has of its trunk."""

    trained_on: Mapping[str, Any]
    """What a model card says of it: the digest of its weights, its targets, its samples of each split."""
    embeddings_ND: NDArray[np.float32]
    """Of the samples of the cohort, in its order."""
    weights: Mapping[str, torch.Tensor]
    """Of its imaging network, by their names in the whole network."""


def require_one_rank(size: int) -> None:
    """Refuse to divide a run with a trunk: it trains in seconds.

    Raises
    ------
    TrainError
        There are several ranks.
    """
    if size > 1:
        raise TrainError(
            f"A run with --trunk trains in one process, and {size} were asked for.",
            "Leave --gpus or torchrun out: it reads no volumes and has little to compute.",
        )


def take_trunk(
    config: RunConfig, layout: StudyLayout, stores: Stores, cohort: Cohort, device: torch.device
) -> FixedTrunk:
    """Return a run's trunk with the embeddings of its cohort; those that are not on the disk yet are made.

    Parameters
    ----------
    config
        Of the head.
    stores
        That have the volumes of its inputs.

    Raises
    ------
    TrainError
        The trunk cannot be used for this run, or participants have withdrawn meanwhile.
    mmdata.errors.StoreError
        A volume is missing.
    """
    assert config.model.trunk is not None
    trunk = open_trunk(layout, config.model.trunk)
    volumes = stores.only(config.data.volume_inputs)
    require_fitting(trunk, config, {modality: array.attributes for modality, array in volumes.originals.items()})
    require_unseen(trunk, cohort)
    model = load_model(trunk.directory.path, device)
    part_name = _part_name(config)
    part = model.network.get_submodule(part_name)
    embeddings = complete_embeddings(trunk, part, layout, config, volumes, np.sort(cohort.rows), device)
    return FixedTrunk(
        trained_on={
            "weights": trunk.weights_digest,
            "targets": [target.name for target in trunk.card.targets],
            "n": trunk.card.trained_on.get("n", {}),
        },
        embeddings_ND=embeddings.of(cohort.rows),
        weights={f"{part_name}.{name}": tensor for name, tensor in part.state_dict().items()},
    )


def complete_embeddings(
    trunk: TrunkRun,
    part: nn.Module,
    layout: StudyLayout,
    config: RunConfig,
    volumes: Stores,
    rows: NDArray[np.int64],
    device: torch.device,
) -> Embeddings:
    """Return embeddings of some rows at least; make and keep those that are not there, or were made from others.

    Parameters
    ----------
    part
        The trunk's imaging network, in evaluation mode on the device.
    rows
        Rising.
    """
    path = trunk.directory.embeddings
    origin = Origin(
        weights=trunk.weights_digest,
        stores={modality: dict(array.attributes) for modality, array in volumes.originals.items()},
    )
    with hold_lock(path.with_suffix(".lock"), wait_seconds=_WAIT_SECONDS):
        kept = read_embeddings(path)
        if kept is not None and (kept.origin != origin or not _are_of(kept, volumes, rows)):
            kept = None
        missing = rows if kept is None else kept.lacking(rows)
        if kept is not None and not len(missing):
            return kept
        retired = read_retired_rows(layout.receipts)
        made = embed(part, volumes, missing, origin, config, device)
        embeddings = made if kept is None else kept.joined(made)
        write_embeddings(path, embeddings)
        if read_retired_rows(layout.receipts) != retired:  # after the writing: a withdrawal that is later finds it
            path.unlink(missing_ok=True)
            raise TrainError(
                "Participants have withdrawn while the volumes were read.", "Start the run again with mm train."
            )
        return embeddings


@torch.inference_mode()
def embed(
    part: nn.Module,
    volumes: Stores,
    rows: NDArray[np.int64],
    origin: Origin,
    config: RunConfig,
    device: torch.device,
) -> Embeddings:
    """Return what an imaging network makes of the volumes of some rows, read in batches of even sizes.

    Parameters
    ----------
    config
        Says how large batches may be and how much is read ahead.
    """
    num_batches = -(-len(rows) // config.optimisation.batch_size)
    parts = np.array_split(rows, num_batches)
    requests = [BatchRequest(positions=few, rows=few, copies=np.zeros(len(few), np.int64)) for few in parts]
    checksums: list[NDArray[np.uint64]] = []
    batches = stream_batches(
        volumes, requests, prefetch_bytes=config.execution.prefetch_bytes, pin_memory=device.type == "cuda"
    )
    channels = allocate_channels(max(map(len, parts)), config.data.side, len(volumes.originals), device)
    values = [
        part(to_channels(batch, channels, config.data.volume_scaling)).float().cpu().numpy()
        for batch in transfer_batches(_noting(batches, list(volumes.originals), checksums), device)
    ]
    return Embeddings(
        origin=origin, rows=rows, values_ND=np.concatenate(values), checksums_NM=np.concatenate(checksums)
    )


def _noting(
    batches: Iterator[StoredBatch], modalities: list[str], checksums: list[NDArray[np.uint64]]
) -> Iterator[StoredBatch]:
    """Pass batches on, and note the checksums of their volumes."""
    for batch in batches:
        stored = [batch.stored[modality].numpy() for modality in modalities]
        checksums.append(np.stack([[_checksum(row) for row in of_modality] for of_modality in stored], axis=1))
        yield batch


def _are_of(kept: Embeddings, volumes: Stores, rows: NDArray[np.int64]) -> bool:
    """Return whether some of the rows, spread over them, are still the volumes that embeddings were made from."""
    common = np.intersect1d(rows, kept.rows)
    compared = common[:: -(-len(common) // NUM_COMPARED) or 1]
    positions = np.searchsorted(kept.rows, compared)
    for column, array in enumerate(volumes.originals.values()):
        stored = array.read_rows([(int(row),) for row in compared])
        found = np.array([_checksum(row) for row in stored], np.uint64)
        if not np.array_equal(found, kept.checksums_NM[positions, column]):
            return False
    return True


def _checksum(volume_XYZ: NDArray[np.generic]) -> np.uint64:
    return np.uint64(xxhash.xxh3_64_intdigest(np.ascontiguousarray(volume_XYZ).data))


def _part_name(config: RunConfig) -> str:
    trunk = load_architecture(config.model.model).trunk
    assert trunk is not None  # `network_shape` has seen to it
    return trunk.part
