"""Refuse to divide a network among ranks whose result would depend on their number.

A network is built without memory for its weights, on PyTorch's device `meta`, and run once, so that it costs next to
nothing. Whatever it draws at random, in a layer or in its code, is seen by PyTorch's own mark for such operations.
"""

from typing import Any

import torch
from torch import nn
from torch.nn.modules.instancenorm import _InstanceNorm as AnyInstanceNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.module_tracker import ModuleTracker

from mmbase.errors import first_line
from mmtrain.errors import TrainError
from mmtrain.models.protocol import NetworkShape
from mmtrain.models.registry import load_architecture
from mmtrain.ranks.dropout import PartDropout, share_dropout
from mmtrain.ranks.norm import AnyBatchNorm

_META = torch.device("meta")
_NUM_SAMPLES = 2
_REMEDY = "Train it without --gpus."


def require_independence(name: str, shape: NetworkShape, num_ranks: int) -> None:
    """Refuse to divide a network among ranks if another model would come out than of one.

    Parameters
    ----------
    name
        Of the network, as in `mmtrain.models.registry`.

    Raises
    ------
    TrainError
        Names the layers, or says that it is not known.
    """
    if num_ranks == 1:
        return
    architecture = load_architecture(name)
    if architecture.fit is not None:
        raise TrainError(f"The network {name} is fitted by one process.", _REMEDY)
    try:
        with torch.device(_META):
            network = architecture.build(shape)
        draws = find_draws(network, shape)
    except (RuntimeError, TypeError, ValueError) as error:
        raise TrainError(
            f"It is not known whether the network {name} is the same on several GPUs as on one, for it does not run "
            f"on PyTorch's device meta: {first_line(error)}",
            _REMEDY,
        ) from error
    if draws:
        raise TrainError(
            f"The network {name} draws at random on each GPU for itself, in {', '.join(draws)}, so that several would "
            "train another model than one.",
            _REMEDY,
        )
    if statistics := find_statistics(network):
        raise TrainError(
            f"The network {name} has layers whose result depends on how samples are divided: {', '.join(statistics)}.",
            _REMEDY,
        )


def find_draws(network: nn.Module, shape: NetworkShape) -> list[str]:
    """Return the layers of a network on `meta` in which it draws at random, but for dropout that ranks can share."""
    share_dropout(network)
    network.train()
    for layer in network.modules():
        if isinstance(layer, PartDropout):
            layer.eval()
    with _Draws() as draws, torch.device(_META), torch.no_grad():
        network(*_inputs(shape))
    return list(draws.layers)


def find_statistics(network: nn.Module) -> list[str]:
    """Return the layers whose evaluation, or whose running statistics, depend on which samples come together."""
    return [
        path
        for path, layer in network.named_modules()
        if (isinstance(layer, AnyBatchNorm) and not layer.track_running_stats)
        or (isinstance(layer, AnyInstanceNorm) and layer.track_running_stats)
    ]


class _Draws(TorchDispatchMode):
    """Notes in which layers something is drawn at random while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: dict[str, None] = {}
        self._tracker = ModuleTracker()

    def __enter__(self) -> "_Draws":
        self._tracker.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._tracker.__exit__(*error)

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in operation.tags:
            self.layers[max(self._tracker.parents - {"Global"}, key=len)] = None
        return operation(*args, **(kwargs or {}))


def _inputs(shape: NetworkShape) -> tuple[torch.Tensor | None, ...]:
    """Return a batch on `meta` as the network takes it."""
    volumes = torch.empty(_NUM_SAMPLES, len(shape.volumes), *[shape.side] * 3, device=_META)
    edges = torch.empty(_NUM_SAMPLES, shape.num_edges, device=_META)
    features = torch.empty(_NUM_SAMPLES, shape.num_features, device=_META)
    return tuple(given if given.shape[1] else None for given in (volumes, edges, features))
