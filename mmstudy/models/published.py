"""Make a model of a published checkpoint that can be used like any other, and a checkpoint of a model.

The folder is a bundle, with one file more: `untrained.safetensors` holds the blocks that the checkpoint has and that no
training reached. They are no part of the model; with them `mm weights export` gives back every tensor bit for bit.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save

from catalog.fields import Dictionary
from mmbase.checksums import write_checked
from mmdata.study import Study
from mmstudy.models.contract import InputContract, write_contract
from mmstudy.models.new_bundle import new_bundle, require_place
from mmstudy.models.published_card import Stated, published_card
from mmstudy.models.published_contract import published_contract, published_stores
from mmstudy.on_record import require_no_participant
from mmstudy.runs.folders import study_runs
from mmtrain.bundle import BundleDirectory
from mmtrain.checkpoint import save_weights
from mmtrain.errors import TrainError
from mmtrain.models.card import ModelCard, write_card
from mmtrain.models.networks import fusion
from mmtrain.published.checkpoint import PublishedCheckpoint, read_checkpoint
from mmtrain.published.trained_inputs import find_trained_inputs


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedModel:
    """A model that was made of a checkpoint."""

    path: Path
    """Its folder."""
    card: ModelCard
    contract: InputContract


def import_checkpoint(
    source: Path, path: Path, stated: Stated, dictionary: Dictionary, *, overwrite: bool = False
) -> ImportedModel:
    """Make a bundle of a published checkpoint.

    Parameters
    ----------
    source
        The checkpoint.
    path
        The bundle's folder, which is made.
    overwrite
        Replace a model that is there.

    Raises
    ------
    TrainError, UnknownTargetError
        The file is no published checkpoint, or what was said does not fit it.
    StudyError
        Something else is in the folder's place, or no bundle may lie there.
    """
    place = require_place(path, overwrite=overwrite)
    checkpoint = read_checkpoint(source)
    card = published_card(checkpoint, find_trained_inputs(checkpoint.tensors, checkpoint.inputs), stated, dictionary)
    contract = published_contract(card, stated, dictionary)
    card = replace(card, stores=published_stores(card, contract))
    with new_bundle(place, overwrite=overwrite) as bundle:
        _write(bundle, checkpoint, card, contract)
    return ImportedModel(path=place, card=card, contract=contract)


def folder_in_study(study: Study, name: str) -> Path:
    """Return where a study keeps a model that is imported.

    Raises
    ------
    TrainError, StudyError
        It cannot have this name.
    """
    if not name or name.startswith("."):
        raise TrainError(f"A model cannot be called {name!r}.", "Give another name with --as.")
    runs = study_runs(study.layout)
    if any(run.run_id == name for run in (*runs.reachable, *runs.unreachable)):
        raise TrainError(f"There is a run called {name!r}, and names find runs first.", "Give another name with --as.")
    require_no_participant(study.layout, name)
    return study.layout.models / name


def _write(bundle: BundleDirectory, checkpoint: PublishedCheckpoint, card: ModelCard, contract: InputContract) -> None:
    with torch.device("meta"):
        network = fusion.build(card.shape)
    of_model = network.state_dict().keys()
    network.load_state_dict({name: checkpoint.tensors[name] for name in of_model}, assign=True)
    save_weights(bundle.model, network)
    others = {name: tensor for name, tensor in checkpoint.tensors.items() if name not in of_model}
    write_checked(bundle.untrained, save(others))
    write_contract(bundle.contract, contract)
    write_card(bundle.model_card, card)
