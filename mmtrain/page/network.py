"""The network of a run as blocks with their sizes, from its model card alone."""

from collections.abc import Mapping
from pathlib import Path

import torch

from mmbase.names import MODALITIES
from mmtrain.models.card import ModelCard, read_card
from mmtrain.models.registry import load_architecture
from mmtrain.page.facts import Block, Branch, NetworkFacts

_BLOCK_OF_INPUT = {"volumes": "cnn", "connectivity": "mlp_connectivity", "features": "mlp_metadata"}
"""Of the network fusion, which block an input goes to."""
_TITLES = {
    "cnn": "imaging CNN",
    "mlp_connectivity": "connectivity MLP",
    "mlp_metadata": "tabular MLP",
    "mlp_logits": "head",
}
_HEAD = "mlp_logits"


def read_network(path: Path) -> NetworkFacts:
    """Return the network of a model card, without memory for its weights.

    Raises
    ------
    TrainError, ValueError, KeyError
        The card cannot be read, or its network cannot be built here.
    """
    return describe_network(read_card(path, {}))


def describe_network(card: ModelCard) -> NetworkFacts:
    """Return the blocks of a model card's network."""
    counts = count_parameters(card)
    blocks = {name: Block(_TITLES[name], number) for name, number in counts.items() if name in _TITLES}
    total = sum(counts.values())
    branches = tuple(Branch(title, size, blocks.get(_BLOCK_OF_INPUT[which])) for which, title, size in _inputs_of(card))
    outputs = [
        f"{target.name}: {kind.num_outputs} output{'s' * (kind.num_outputs > 1)}"
        for target, kind in zip(card.targets, card.fitted.kinds, strict=True)
    ]
    return NetworkFacts(
        name=card.network,
        branches=branches,
        head=blocks.get(_HEAD, Block(card.network, total)),
        outputs=tuple(outputs),
        num_parameters=total,
        is_fitted_at_once=load_architecture(card.network).fit is not None,
    )


def count_parameters(card: ModelCard) -> Mapping[str, int]:
    """Return the trained numbers of each part of a network."""
    with torch.device("meta"):
        network = load_architecture(card.network).build(card.shape)
    counts: dict[str, int] = {}
    for name, parameter in network.named_parameters():
        part = name.partition(".")[0]
        counts[part] = counts.get(part, 0) + parameter.numel()
    return counts


def _inputs_of(card: ModelCard) -> list[tuple[str, str, str]]:
    """Return which input it is, its title and its size."""
    shape = card.shape
    found = []
    if shape.volumes:
        found.append(("volumes", ", ".join(MODALITIES[name].title for name in shape.volumes), f"{shape.side}³ voxels"))
    if shape.num_edges:
        found.append(("connectivity", "connectivity", f"{shape.num_edges:,} edges"))
    if shape.num_features:
        found.append(("features", "tabular", f"{shape.num_features:,} columns"))
    return found
