"""The networks by name, and how one is made for a run."""

import torch
from torch import nn

from mmbase.names import METADATA
from mmtrain.config.data import DataConfig
from mmtrain.config.model import ModelConfig
from mmtrain.discovery import load_choice
from mmtrain.errors import TrainError
from mmtrain.models import networks
from mmtrain.models.names import NETWORK
from mmtrain.models.protocol import Architecture, NetworkShape


def load_architecture(name: str) -> Architecture:
    """Return a network by its name.

    Raises
    ------
    TrainError
        There is none of that name.
    """
    architecture: Architecture = load_choice(networks, name, "ARCHITECTURE", NETWORK)
    return architecture


def network_shape(
    model: ModelConfig, data: DataConfig, *, num_edges: int, num_features: int, num_outputs: int
) -> NetworkShape:
    """Return the shape of the network that a run trains.

    Raises
    ------
    TrainError
        The network cannot take these inputs, or cannot have this shape.
    """
    architecture = load_architecture(model.model)
    if refused := [name for name in data.inputs if name not in architecture.inputs]:
        raise TrainError(
            f"The network {model.model} takes {', '.join(architecture.inputs)}, not {', '.join(refused)}.",
            "Choose other --inputs, or --model fusion, which takes any.",
        )
    if METADATA in data.inputs and data.feature_scaling not in architecture.feature_scalings:
        raise TrainError(
            f"The network {model.model} needs to know which tabular features are missing, and --feature-scaling "
            f"{data.feature_scaling} does not tell.",
            f"Give --feature-scaling {architecture.feature_scalings[0]}.",
        )
    if architecture.fit is not None and data.regression == "bins":
        raise TrainError(
            f"The network {model.model} is fitted at once and learns a value, not bins.",
            "Leave --regression out, or choose a network that learns in epochs.",
        )
    _require_droppable(model, data, architecture)
    _require_trunk(model, data, architecture)
    chosen = {"channels": list(model.channels), "keep_imaging": model.keep_imaging, "trunk": model.trunk}
    return architecture.complete(
        NetworkShape(
            volumes=data.volume_inputs,
            side=data.side,
            num_edges=num_edges,
            num_features=num_features if METADATA in data.inputs else 0,
            num_outputs=num_outputs,
            parameters={name: value for name, value in chosen.items() if value and name in architecture.settings},
        )
    )


def _require_droppable(model: ModelConfig, data: DataConfig, architecture: Architecture) -> None:
    """Refuse to leave inputs out where none can be."""
    if not model.modality_dropout:
        return
    if "modality_dropout" not in architecture.settings:
        raise TrainError(
            f"The network {model.model} needs all its inputs, so --modality-dropout can leave none out.",
            "Choose --model fusion, or leave --modality-dropout out.",
        )
    if len(data.inputs) == 1:
        raise TrainError(
            f"--modality-dropout leaves out some of several inputs, and {data.inputs[0]} is the only one.",
            "Give more --inputs, or leave --modality-dropout out.",
        )


def _require_trunk(model: ModelConfig, data: DataConfig, architecture: Architecture) -> None:
    """Refuse a trunk where nothing could be taken from it."""
    if model.trunk is None:
        return
    if architecture.trunk is None:
        raise TrainError(
            f"The network {model.model} cannot take its imaging part from another run.",
            "Leave --trunk out, or choose --model fusion.",
        )
    if not data.volume_inputs:
        raise TrainError(
            f"--trunk gives what a run has learnt of volumes, and none are among the inputs {', '.join(data.inputs)}.",
            "Leave --trunk out, or give --inputs with the volumes that the trunk was trained on.",
        )
    if data.diagnostic:
        raise TrainError(
            "A diagnostic run checks the wiring of the volumes, which a run with --trunk does not read.",
            "Leave one of --diagnostic and --trunk out.",
        )


def build_network(
    name: str,
    shape: NetworkShape,
    device: torch.device,
    dtype: torch.dtype,
    memory_format: torch.memory_format,
    *,
    head_alone: bool = False,
) -> nn.Module:
    """Return a network with random weights on a device.

    Parameters
    ----------
    memory_format
        In which volumes lie within it, see `mmtrain.precision.memory_format`.
    head_alone
        Without its trunk, see `Architecture.trunk`.
    """
    architecture = load_architecture(name)
    build = architecture.build
    if head_alone:
        assert architecture.trunk is not None
        build = architecture.trunk.build_head
    network = build(shape).to(device, dtype)
    architecture.arrange(network, memory_format)
    return network
