"""Write down in a run's config.json what was changed of it after it had begun, and from which step on."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mmbase.files import write_json
from mmbase.json_text import read_json
from mmtrain.checkpoint import read_progress
from mmtrain.config.changes import changes_between
from mmtrain.config.run import RunConfig, parse_run_config
from mmtrain.errors import TrainError
from mmtrain.run import RunDirectory, hold_run


def require_whole_epoch(run: RunDirectory, before: RunConfig, after: RunConfig) -> None:
    """Refuse another batch size within an epoch: which samples are left of it follows from its batches.

    Raises
    ------
    TrainError
        The last checkpoint lies within an epoch.
    """
    if before.optimisation.batch_size == after.optimisation.batch_size:
        return
    progress = read_progress(run.checkpoint)
    if progress.part.steps:
        raise TrainError(
            f"The last checkpoint of run {run.run_id} is of step {progress.part.steps} within epoch "
            f"{progress.epoch + 1}. The samples that are left of the epoch follow from --batch-size "
            f"{before.optimisation.batch_size}, so it can be changed between epochs alone.",
            "For less memory give --accumulate; it computes the same batches in parts.",
        )


def record_changes(run: RunDirectory, config: RunConfig) -> list[str]:
    """Write the settings that a run is resumed with, and return what differs from those before, in words.

    Raises
    ------
    TrainError
        Another process trains the run.
    """
    before = parse_run_config(read_json(run.config, dict[str, Any])["train"])
    changes = changes_between(before, config)
    if not changes:
        return []
    with hold_run(run):
        progress = read_progress(run.checkpoint)
        train = before.changed(**{name: new for name, (_, new) in changes.items()}).to_json()
        settings = {name: {"before": old, "after": new} for name, (old, new) in changes.items()}
        _write(run, {"train": train}, {"epoch": progress.epoch, "step": progress.part.steps, "settings": settings})
    since = f"after epoch {progress.epoch}, step {progress.part.steps}"
    return [f"{name} is {new} instead of {old} {since}" for name, (old, new) in changes.items()]


def record_finish(run: RunDirectory, num_epochs: int) -> None:
    """Write that a run was ended before its last epoch.

    Parameters
    ----------
    num_epochs
        Epochs that it had finished.
    """
    with hold_run(run):
        _write(run, {}, {"epoch": num_epochs, "step": 0, "finished": True})


def _write(run: RunDirectory, settings: Mapping[str, Any], change: Mapping[str, Any]) -> None:
    content = read_json(run.config, dict[str, Any])
    entry = {"time": datetime.now(UTC).isoformat(timespec="seconds"), **change}
    write_json(run.config, {**content, **settings, "changes": [*content.get("changes", []), entry]})
