"""Write a model as a published checkpoint: one that was imported, or a run of the same network.

Of an imported model all tensors are those of the file that it came from. A run has no block for an input that it does
not have; the checkpoint gets one as training would begin it, and its batch norms say that they have seen no batch.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from catalog.export.files import require_writable
from mmbase.errors import first_line
from mmdata.study import Study
from mmdata.volume.connectome import CONNECTOMES
from mmstudy.models.find import FoundModel
from mmstudy.models.passing_on import require_nobody_withdrawn, require_passable
from mmstudy.models.published_card import REFERENCE_COLUMNS
from mmstudy.models.training_history import history_of
from mmtrain.bundle import BundleDirectory
from mmtrain.errors import TrainError
from mmtrain.models.networks import fusion
from mmtrain.models.protocol import NetworkShape
from mmtrain.published.checkpoint import CHANNELS, CURVES, PublishedCheckpoint, require_network
from mmtrain.published.writing import write_checkpoint
from mmtrain.unchanged import require_unchanged

SUFFIXES = (".pt", ".pth")
_SEED = 1337


def export_checkpoint(model: FoundModel, path: Path, *, overwrite: bool) -> PublishedCheckpoint:
    """Write a model in the form of the published checkpoints; return what was written.

    Raises
    ------
    TrainError, CatalogError
        The model is of another network, or the file cannot be written.
    """
    require_writable(path, SUFFIXES, overwrite=overwrite)
    checkpoint = _checkpoint_of(model)
    write_checkpoint(path, checkpoint)
    return checkpoint


def export_run(study: Study, run: FoundModel, path: Path, *, overwrite: bool) -> PublishedCheckpoint:
    """Write a run of a study as `export_checkpoint` does, if it may be passed on.

    Raises
    ------
    TrainError, CatalogError
        As `export_checkpoint`; or the run may not be passed on, and no file is left.
    """
    require_passable(study, run)
    checkpoint = export_checkpoint(run, path, overwrite=overwrite)
    try:
        require_nobody_withdrawn(study, run)  # after the writing: it may have happened meanwhile
    except TrainError:
        path.unlink()
        raise
    return checkpoint


def _checkpoint_of(model: FoundModel) -> PublishedCheckpoint:
    shape = model.card.shape
    if model.card.network != "fusion" or shape.num_outputs > 2 or not set(shape.volumes) <= set(CHANNELS):
        raise TrainError(
            f"{model.name} cannot be written as a published checkpoint: that is the network fusion on any of flair, "
            f"t1, dwi, connectivity and metadata, with one target; got {model.card.network} on "
            f"{', '.join(model.card.inputs)} for {', '.join(target.name for target in model.card.targets)}.",
            "mm export-model writes any model.",
        )
    bundle = BundleDirectory(model.path)
    tensors = _read(bundle.model)
    untrained = bundle.untrained
    others = _read(untrained) if untrained.exists() else _first_weights(_whole(shape, tensors))
    tensors = {**others, **tensors}
    whole = _whole(shape, tensors)
    require_network(tensors, whole, model.name)
    history = history_of(model)
    curves = {
        name: tuple(math.nan if value is None else value for value in history.curves[name])
        for name in CURVES
        if name in history.curves
    }
    inputs = () if "inputs" in model.contract.assumed else model.card.inputs  # what was guessed is no fact
    return PublishedCheckpoint(tensors=tensors, shape=whole, inputs=inputs, epoch=history.epoch, curves=curves)


def _whole(shape: NetworkShape, tensors: Mapping[str, torch.Tensor]) -> NetworkShape:
    """Return the shape of the network with every input; what a model says nothing of is as published."""

    def size(name: str, otherwise: int) -> int:
        return tensors[name].shape[1] if name in tensors else otherwise

    return fusion.complete(
        replace(
            shape,
            volumes=CHANNELS,
            num_edges=size("mlp_connectivity.dense_layers.0.weight", CONNECTOMES["glasser360"].num_edges),
            num_features=size("mlp_metadata.dense_layers.0.weight", len(REFERENCE_COLUMNS) - 1),
            parameters={"channels": _channels(tensors)},
        )
    )


def _channels(tensors: Mapping[str, torch.Tensor]) -> list[int]:
    """Return the widths of the stages; none where the weights have no imaging network."""
    stages = [name for name in tensors if name.startswith("cnn.skip_conv_layers.") and name.endswith(".weight")]
    return [tensors[f"cnn.skip_conv_layers.{k}.weight"].shape[0] for k in range(len(stages))]


def _first_weights(shape: NetworkShape) -> dict[str, torch.Tensor]:
    """Return the weights of a network that was not trained, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return dict(fusion.build(shape).state_dict())


def _read(path: Path) -> dict[str, torch.Tensor]:
    require_unchanged(path)
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise TrainError(f"The weights {path.name} cannot be read: {first_line(error)}.") from error
    return {name: x.float() if x.is_floating_point() else x for name, x in tensors.items()}
