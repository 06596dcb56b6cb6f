"""Find a model by what the user calls it: a run of the study, a model kept in it, or the folder of a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mmbase.suggestion import did_you_mean
from mmdata.store.schema import StudyLayout
from mmdata.study import Study
from mmstudy.models.contract import InputContract, contract_of_study, read_contract
from mmstudy.runs.folders import find_run_of_study, require_cleaned, study_runs
from mmtrain.bundle import BundleDirectory
from mmtrain.errors import TrainError
from mmtrain.held_out import run_intervals
from mmtrain.intervals import LEVELS, Intervals, read_intervals
from mmtrain.models.card import ModelCard
from mmtrain.models.trained import TrainedModel, load_model, read_model_card
from mmtrain.run import RunDirectory


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundModel:
    """A model that can be used."""

    name: str
    path: Path
    """The run's or the bundle's directory."""
    card: ModelCard
    contract: InputContract
    is_run: bool
    """Whether it is a run of the study: its cohort and its predictions are at hand."""

    def intervals(self, levels: Sequence[float] = LEVELS) -> Intervals:
        """Return the prediction intervals of its continuous targets, as far as there are any.

        Parameters
        ----------
        levels
            Of a run, which can have any; a bundle has those that it was passed on with.

        Raises
        ------
        TrainError
            What they are made of is damaged.
        """
        if self.is_run:
            return run_intervals(RunDirectory(self.path), self.card.targets, levels)
        return read_intervals(BundleDirectory(self.path).intervals)

    def load(self, device: torch.device) -> TrainedModel:
        """Return the network with its weights, in float32.

        Raises
        ------
        TrainError
            The weights are damaged, or not those of the card.
        """
        return load_model(self.path, device, torch.float32)


def find_model(study: Study | None, name: str) -> FoundModel:
    """Return a model by its name.

    Parameters
    ----------
    study
        None: there is none, and only bundles can be found.
    name
        A run of the study, a model in its folder models, or the folder of a bundle.

    Raises
    ------
    TrainError
        There is none, or it cannot be used.
    """
    if study is not None and name in _run_ids(study.layout):
        run, _ = find_run_of_study(study.layout, name)
        require_cleaned(study.layout, run)
        card = read_model_card(run.path)
        return FoundModel(name=name, path=run.path, card=card, contract=contract_of_study(study, card), is_run=True)
    kept = [] if study is None or Path(name).name != name else [study.layout.models / name]
    for path in (*kept, Path(name).expanduser()):
        bundle = BundleDirectory(path)
        if bundle.model_card.is_file():
            return FoundModel(
                name=path.resolve().name,
                path=path,
                card=read_model_card(path),
                contract=read_contract(bundle.contract),
                is_run=False,
            )
    raise TrainError(
        f"There is no model {name!r}: no run of the study, no model that was imported, and no folder of a bundle."
        f"{did_you_mean(name, [] if study is None else _names_in_study(study.layout))}",
        "mm runs lists the runs. A bundle is a folder with a model.json.",
    )


def _run_ids(layout: StudyLayout) -> list[str]:
    runs = study_runs(layout)
    return [run.run_id for run in (*runs.reachable, *runs.unreachable)]


def _names_in_study(layout: StudyLayout) -> list[str]:
    """Return what the study's models are called: its runs, and those that it keeps."""
    kept = sorted(path.name for path in layout.models.glob("*") if BundleDirectory(path).model_card.is_file())
    return [*_run_ids(layout), *kept]
