"""A finished run that is looked at again, as its model keeps it: what has withdrawn since changes no scaling."""

from dataclasses import dataclass, replace

from torch import nn

from mmdata.store.schema import StudyLayout
from mmtrain.config.run import RunConfig
from mmtrain.data.cohort import read_cohort
from mmtrain.device import choose_device
from mmtrain.models.trained import load_model
from mmtrain.precision import resolve_for_finished
from mmtrain.run import RunDirectory
from mmtrain.task import Task, prepare_task


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """What a finished run computes with."""

    task: Task
    network: nn.Module
    """In evaluation mode, with the weights of the best epoch."""


def open_finished_run(directory: RunDirectory, layout: StudyLayout, config: RunConfig, device: str) -> FinishedRun:
    """Open the stores of a study, and load the model of a run on a device.

    It is computed in what the run was trained in, or in float32 where the device does not have that in hardware.
    A run that took a trunk has its weights too, so it is opened as one that reads volumes.

    Parameters
    ----------
    config
        Of the run; where it read and computed when it was trained does not matter.
    device
        auto, cpu, cuda or cuda:N.

    Raises
    ------
    TrainError
        The cohort, the model or the device cannot be used.
    mmdata.errors.StoreError
        A store is missing.
    """
    cohort = read_cohort(directory.cohort)
    arithmetic = resolve_for_finished(config.optimisation.precision, choose_device(device))
    here = config.changed(device=device, precision=arithmetic, stores="", copies=0, trunk=None)
    task = prepare_task(cohort, layout, here)
    model = load_model(directory.path, task.device, task.dtype)
    card = model.card
    labels_NT = card.fitted.clamp(cohort.labels_NT) if config.data.clamp_labels else cohort.labels_NT
    return FinishedRun(
        task=replace(
            task,
            cohort=replace(cohort, labels_NT=labels_NT),
            targets=card.fitted,
            feature_scaler=card.features,
            features_NF=card.features.scale(cohort.stack_features(card.features.names)),
            shape=card.shape,
        ),
        network=model.network,
    )
