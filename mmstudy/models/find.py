"""A model with what is known of it, found by what the user calls it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mmdata.study import Study
from mmstudy.models.contract import InputContract, contract_of_study, read_contract
from mmstudy.models.place import locate_model
from mmstudy.runs.folders import require_cleaned
from mmtrain.bundle import BundleDirectory
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
        As `locate_model` takes it.

    Raises
    ------
    TrainError
        There is none, or it cannot be used.
    """
    place = locate_model(study, name)
    if study is not None and place.is_run:
        require_cleaned(study.layout, RunDirectory(place.path))
    card = read_model_card(place.path)
    if study is not None and place.is_run:
        contract = contract_of_study(study, card)
    else:
        contract = read_contract(BundleDirectory(place.path).contract)
    return FoundModel(name=place.name, path=place.path, card=card, contract=contract, is_run=place.is_run)
