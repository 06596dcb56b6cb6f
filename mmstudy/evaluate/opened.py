"""Open a finished run of a study to measure it again."""

from collections.abc import Sequence

from mmdata.study import Study
from mmstudy.results.read import RunResult
from mmstudy.runs.folders import require_cleaned
from mmtrain.finished import FinishedRun, open_finished_run
from mmtrain.task import Task


def open_results(study: Study, results: Sequence[RunResult], device: str) -> FinishedRun:
    """Return what a run computes with, on a device: auto, cpu, cuda or cuda:N.

    Parameters
    ----------
    results
        Of the run, one for each of its targets.

    Raises
    ------
    TrainError, mmdata.errors.StoreError
        The run, a store or the device cannot be used.
    """
    directory, config = results[0].directory, results[0].config
    require_cleaned(study.layout, directory)
    return open_finished_run(directory, study.layout, config, device)


def labelled_ids(task: Task, split: str, index: int) -> list[str]:
    """Return the samples of a split that have a label of a target, by its index."""
    members = task.cohort.members(split)[task.cohort.labelled(split, index)]
    return [task.cohort.sample_ids[member] for member in members]
