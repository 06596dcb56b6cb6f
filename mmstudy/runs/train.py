"""Resume or finish a run that was stopped, and train on several ranks; needs neither catalogue nor image readers.

A run that has begun is trained in this process by `mmtrain.train.train`.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmbase.json_text import DamagedTextError, read_json
from mmdata.study import Study
from mmstudy.remote_stores import require_own_stores
from mmstudy.runs.change import require_whole_epoch
from mmstudy.runs.folders import find_run_of_study, require_cleaned
from mmtrain.checkpoint import has_checkpoint
from mmtrain.config.changes import change_settings, changes_between
from mmtrain.config.run import RunConfig
from mmtrain.data.cohort import read_cohort
from mmtrain.data.portions import require_portions
from mmtrain.errors import TrainError
from mmtrain.ranks.environment import is_launched
from mmtrain.ranks.launch import launch_ranks, require_devices
from mmtrain.run import RunDirectory, read_execution, write_execution
from mmtrain.unchanged import require_unchanged
from mmtrain.withdrawn import require_unmarked


def find_finished(
    study: Study, run_id: str, given: Mapping[str, Any], folder: Path | None = None
) -> tuple[RunDirectory, RunConfig, dict[str, Any]] | None:
    """Return a run that is finished, its settings and its metrics; None where something is left to do, or to refuse.

    Parameters
    ----------
    folder
        Where the user says that the run lies now.

    Raises
    ------
    TrainError
        There is no run of that name, or its metrics are damaged.
    """
    run, config = find_run_of_study(study.layout, run_id, folder)
    if not run.metrics.exists() or changes_between(config, config.changed(**given)):
        return None
    try:
        require_unchanged(run.metrics)
        return run, config, read_json(run.metrics, dict[str, Any])
    except (OSError, DamagedTextError, TrainError) as error:
        raise TrainError(
            f"Run {run_id} is finished, but its {run.metrics.name} is damaged.",
            f"Delete {run.metrics}, then test its best epoch again: mm train --finish {run_id}",
        ) from error


def find_unfinished(
    study: Study, run_id: str, given: Mapping[str, Any], folder: Path | None = None
) -> tuple[RunDirectory, RunConfig]:
    """Return a run that can be resumed, and its settings.

    Parameters
    ----------
    given
        Settings by their names, of which those of `mmtrain.config.changes` may differ from what it began with.
    folder
        Where the user says that the run lies now.

    Raises
    ------
    TrainError
        There is none of that name, it is finished, a setting cannot be changed, or participants of its cohort have
        withdrawn.
    StudyError
        The remote stores are not this study's.
    """
    run, config = find_run_of_study(study.layout, run_id, folder)
    if run.metrics.exists():
        raise TrainError(f"Run {run_id} is finished; its metrics are in {run.metrics}. Nothing can be changed.")
    require_cleaned(study.layout, run)
    require_unmarked(run)
    if is_launched():
        config = replace(config, execution=read_execution(run))
    changed = change_settings(config, given)
    require_whole_epoch(run, config, changed)
    if changed.execution.stores:
        require_own_stores(study, changed, read_cohort(run.cohort).rows.tolist())
    return run, changed


def train_on_ranks(study: Study, run: RunDirectory, config: RunConfig, num_ranks: int, *, as_json: bool) -> None:
    """Let several processes of this machine train together, each by `mm train --resume`; the first of them prints.

    Raises
    ------
    TrainError
        There are not enough devices, batches are too small to be divided, a rank failed, or the run was stopped.
    """
    device = require_devices(num_ranks, config.execution.device)
    require_portions(read_cohort(run.cohort), config, num_ranks)
    write_execution(run, config.changed(device=device.type).execution)
    words = ["--study", str(study.layout.root), "train", "--resume", run.run_id]
    launch_ranks([*words, *(["--json"] if as_json else [])], num_ranks, device)
    if not run.metrics.exists():
        again = f"mm train --resume {run.run_id} --gpus {num_ranks}"
        if has_checkpoint(run.checkpoint):
            raise TrainError("The run was stopped.", f"Resume it from its last checkpoint with: {again}")
        raise TrainError("The run was stopped before its first checkpoint.", f"Begin it again with: {again}")
