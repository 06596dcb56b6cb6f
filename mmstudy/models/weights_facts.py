"""What there is to know of a checkpoint or of a model before it is used, as plain values and as tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from mmbase.names import CONNECTIVITY
from mmbase.plain_table import PlainTable, plain_table
from mmbase.printable import shown
from mmstudy.models.find import FoundModel
from mmstudy.models.training_history import TrainingHistory, history_of
from mmtrain.models.protocol import NetworkShape
from mmtrain.models.registry import load_architecture
from mmtrain.published.checkpoint import read_checkpoint
from mmtrain.published.trained_inputs import find_trained_inputs

_MEANING = {"trained": "yes", "untrained": "no", "unclear": "unclear: the weights do not say"}


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsFacts:
    """What there is to know of weights; `dataclasses.asdict` makes plain values of it."""

    name: str
    target: str | None
    """None: a checkpoint does not say."""
    kind: str
    """Of the target: continuous or binary."""
    unit: str
    inputs: Mapping[str, str]
    """Name to trained, untrained or unclear."""
    side: int
    edges: int
    """Of connectivity; 0: not an input."""
    columns: int
    """Of metadata; 0: not an input."""
    shown_columns: tuple[str, ...]
    """Names of those that the model saw, as far as they are known."""
    parameters: int
    batches: int | None
    """Training batches that the weights have seen; None: not known."""
    epoch: int | None
    last_losses: Mapping[str, float | None]
    """Of training and validation, of the last epoch in the file."""
    assumed: Mapping[str, str]
    """What was taken for granted when the model was imported."""


def facts_of_checkpoint(path: Path) -> WeightsFacts:
    """Return what a published checkpoint says of itself.

    Raises
    ------
    TrainError
        It is none.
    """
    checkpoint = read_checkpoint(path)
    trained = find_trained_inputs(checkpoint.tensors, checkpoint.inputs)
    shape = checkpoint.shape
    return WeightsFacts(
        name=shown(path),
        target=None,
        kind=_kind(shape),
        unit="",
        inputs=trained.evidence,
        side=shape.side,
        edges=shape.num_edges,
        columns=shape.num_features,
        shown_columns=(),
        parameters=_num_parameters("fusion", shape),
        batches=trained.steps,
        epoch=checkpoint.epoch,
        last_losses=TrainingHistory(checkpoint.epoch, checkpoint.curves).last_losses,
        assumed={},
    )


def facts_of_model(model: FoundModel) -> WeightsFacts:
    """Return what is known of a model of one target.

    Raises
    ------
    TrainError
        What is kept of its training is damaged.
    """
    card, history = model.card, history_of(model)
    batches = card.trained_on.get("batches")
    return WeightsFacts(
        name=model.name,
        target=", ".join(target.name for target in card.targets),
        kind=_kind(card.shape),
        unit=", ".join(target.unit for target in card.targets),
        inputs=dict.fromkeys(card.inputs, "trained"),
        side=card.shape.side,
        edges=card.shape.num_edges,
        columns=card.shape.num_features,
        shown_columns=card.features.shown_names,
        parameters=_num_parameters(card.network, card.shape),
        batches=batches if isinstance(batches, int) else None,
        epoch=history.epoch,
        last_losses=history.last_losses,
        assumed=model.contract.assumed,
    )


def facts_tables(facts: WeightsFacts) -> list[PlainTable]:
    """Show facts to people: sizes, inputs, and what is assumed."""
    rows = [
        ("target", f"{facts.target or 'not in the file'} ({facts.unit or facts.kind})"),
        ("side of volumes", f"{facts.side} voxels"),
        (f"edges of {CONNECTIVITY}", f"{facts.edges:,}"),
        ("columns of metadata", f"{facts.columns:,}" + "".join(f", {name}" for name in facts.shown_columns)),
        ("parameters", f"{facts.parameters:,}"),
        ("batches of training", "not known" if facts.batches is None else f"{facts.batches:,}"),
        ("epoch", "not known" if facts.epoch is None else str(facts.epoch)),
        *((f"last {split} loss", "not finite" if x is None else f"{x:.5g}") for split, x in facts.last_losses.items()),
    ]
    tables = [
        plain_table((facts.name, ""), rows, whole=[facts.name]),
        plain_table(("input", "trained on it"), [(name, _MEANING[said]) for name, said in facts.inputs.items()]),
    ]
    if facts.assumed:
        tables.append(plain_table(("assumed", ""), list(facts.assumed.items()), whole=["assumed"]))
    return tables


def _kind(shape: NetworkShape) -> str:
    return "binary" if shape.num_outputs == 2 else "continuous"


def _num_parameters(network: str, shape: NetworkShape) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in load_architecture(network).build(shape).parameters())
