"""The run whose imaging network another run takes as it is.

Terms
-----
trunk   a finished run, or its imaging network
head    a run that takes a trunk, or what of its network it trains
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbase.checksums import digest_of
from mmbase.names import INPUTS
from mmdata.ledger.receipts import read_run_receipts
from mmdata.store.schema import StudyLayout
from mmtrain.config.run import RunConfig
from mmtrain.data.cohort import Cohort, read_cohort
from mmtrain.errors import TrainError
from mmtrain.models.card import ModelCard
from mmtrain.models.trained import read_model_card
from mmtrain.run import RunDirectory, find_run

HELD_OUT = (("val", ("train",)), ("test", ("train", "val")))
"""Split of a head to the splits of the trunk that must have nobody of it: the last chose the trunk's best epoch."""
_TAKE_ANOTHER = "Give --trunk another run, or leave it out."


@dataclass(frozen=True, kw_only=True, slots=True)
class TrunkRun:
    """A finished run as a trunk."""

    directory: RunDirectory
    config: RunConfig
    card: ModelCard
    weights_digest: str
    """Of the file of its weights."""


def open_trunk(layout: StudyLayout, run_id: str) -> TrunkRun:
    """Return a run of a study that can be a trunk.

    Raises
    ------
    TrainError
        There is none of that name, it is not finished, its model is damaged, or it has no imaging network of its own.
    mmdata.errors.StoreError
        A receipt is damaged.
    """
    receipts = read_run_receipts(layout.receipts)
    elsewhere = run_id in receipts and not (layout.runs / run_id).exists()
    folder = Path(receipts[run_id].folder) if elsewhere else layout.runs
    directory, config = find_run(folder, run_id, others=receipts)
    if not directory.metrics.exists():
        raise TrainError(
            f"Run {run_id} is not finished, so it cannot be a trunk.", f"Finish it first: mm train --resume {run_id}"
        )
    if config.model.trunk is not None:
        raise TrainError(
            f"Run {run_id} has its imaging network from run {config.model.trunk}, so it cannot be a trunk.",
            f"Give --trunk {config.model.trunk}.",
        )
    if config.data.diagnostic:
        raise TrainError(
            f"Run {run_id} is a wiring check that has seen labels as inputs, so it cannot be a trunk.", _TAKE_ANOTHER
        )
    card = read_model_card(directory.path)
    return TrunkRun(directory=directory, config=config, card=card, weights_digest=digest_of(directory.model))


def require_fitting(trunk: TrunkRun, config: RunConfig, stores: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a trunk that has not learnt from the very volumes that a head is given.

    Parameters
    ----------
    config
        Of the head.
    stores
        Modality to the attributes of the array that the head would read.

    Raises
    ------
    TrainError
        Names what differs: the network, the inputs, the side, the scaling, the width or the grid.
    """
    ours, theirs = config.data, trunk.config.data
    channels = trunk.card.shape.parameters.get("channels")
    asked = list(config.model.channels)
    compared = {
        "network": (config.model.model, trunk.card.network),
        "inputs": (
            ", ".join(ours.volume_inputs) or "none",
            ", ".join(name for name in INPUTS if name in theirs.inputs),
        ),
        "side": (ours.side, trunk.card.shape.side),
        "volume_scaling": (ours.volume_scaling, trunk.card.volume_scaling),
        "channels": (asked or channels, channels),
    }
    for name, (own, its) in compared.items():
        if own != its:
            raise TrainError(
                f"A trunk has to have learnt from exactly the volumes of the run that takes it. Expected {name} {own}, "
                f"got {its} of run {trunk.directory.run_id}.",
                "Give --trunk a run that has these inputs and no others, or train one: mm train with several targets.",
            )
    for modality in ours.volume_inputs:
        if dict(stores[modality]) != dict(trunk.card.stores[modality]):
            raise TrainError(
                f"The grid or the preprocessing of {modality} is another than the one that run "
                f"{trunk.directory.run_id} was trained on.",
                "Train the trunk again on the volumes that there are now.",
            )


def require_unseen(trunk: TrunkRun, cohort: Cohort) -> None:
    """Refuse a trunk that has learnt from samples on which a head is validated or tested, or was chosen by the latter.

    `mmstudy.runs.trunk` looks at participants and their relatives too; this is what can be seen without the catalogue.

    Raises
    ------
    TrainError
        Says how many samples it is.
    """
    learnt = read_cohort(trunk.directory.cohort)
    for split, seen_in in HELD_OUT:
        seen = {learnt.sample_ids[i] for name in seen_in for i in learnt.members(name)}
        if shared := sum(cohort.sample_ids[i] in seen for i in cohort.members(split)):
            raise leaking(trunk, split, shared, "sample")


def leaking(trunk: TrunkRun, split: str, number: int, what: str) -> TrainError:
    """Return the error for a trunk that knows held-out samples or participants."""
    use = "validated" if split == "val" else "tested"
    many, them = ("s", "them") if number > 1 else ("", "it")
    return TrainError(
        f"This run would be {use} on {number} {what}{many} that run {trunk.directory.run_id} has learnt from or was "
        f"chosen by, so the result would say nothing of {them}.",
        "Give --trunk a run with the same split: the same --fold or --leave-out-centre, and all targets of the runs "
        "that take it.",
    )
