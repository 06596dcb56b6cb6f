"""One run of `mm train`: begin, prepare, resume or finish it, train it, and show what came out."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mmbase.errors import MmError
from mmcli.console import fail, report, say, warn
from mmcli.failures import FREE_SOME_SPACE, is_full_disk
from mmcli.page import open_page
from mmtrain.config.execution import ExecutionConfig
from mmtrain.errors import TrainError
from mmtrain.ranks.environment import rank_of_process

if TYPE_CHECKING:
    from mmdata.study import Study
    from mmstudy.runs.plan import RunPlan
    from mmtrain.config.run import RunConfig
    from mmtrain.diagnostic import WiringVerdict
    from mmtrain.run import RunDirectory


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """How a run is shown."""

    open_it: bool
    """Open its page in a browser."""
    internal: bool
    """Write the page that shows single people too."""
    as_json: bool


def begin_run(study: "Study", plan: "RunPlan", gpus: int | None, folder: Path | None, shown: Shown) -> None:
    """Make a planned run, and train it."""
    run = _make(study, plan, folder)
    _train(study, run, plan.config, gpus, shown, resumed=False)
    _write_internal(run, shown)


def prepare_run(study: "Study", plan: "RunPlan", folder: Path | None, *, as_json: bool) -> None:
    """Make a planned run, and say how torchrun trains it."""
    run = _make(study, plan, folder)
    own = f"mm --study {shlex.quote(str(study.layout.root))} train --resume {run.run_id}"
    start = f"torchrun --nproc-per-node N --no-python {own}"
    report(as_json, {"run_id": run.run_id}, [f"Made run {run.run_id}. Start it with: {start}"])


def resume_run(
    study: "Study", run_id: str, given: dict[str, Any], gpus: int | None, folder: Path | None, shown: Shown
) -> None:
    """Train a run to its end, if anything is left to do.

    Parameters
    ----------
    folder
        Where it lies now; None: where the study knows it to lie.
    """
    from mmstudy.runs.change import record_changes
    from mmstudy.runs.train import find_unfinished

    if finished := _find_finished(study, run_id, given, folder, as_json=shown.as_json):
        if shown.open_it and rank_of_process() is None:
            open_page(finished.report)
        _write_internal(finished, shown)
        return
    run, config = find_unfinished(study, run_id, given, folder)
    if rank_of_process() in (None, 0):
        for change in record_changes(run, config):
            say(change)
    _train(study, run, config, gpus, shown, resumed=True)
    _write_internal(run, shown)


def finish_run(study: "Study", run_id: str, given: dict[str, Any], folder: Path | None, shown: Shown) -> None:
    """Test the best epoch of a run, in this process."""
    if rank_of_process() is not None:
        raise TrainError("--finish works in one process: run it without torchrun.")
    if others := sorted(given.keys() - {field.name for field in fields(ExecutionConfig)}):
        raise typer.BadParameter(f"trains no more, so leave out {', '.join(others)}", param_hint="--finish")
    run = _find_finished(study, run_id, given, folder, as_json=shown.as_json)
    if run is None:
        run = _finish(study, run_id, given, folder, as_json=shown.as_json)
    _write_internal(run, shown)
    if shown.open_it:
        open_page(run.report)


def _make(study: "Study", plan: "RunPlan", folder: Path | None) -> "RunDirectory":
    from mmstudy.runs.begin import begin_run
    from mmstudy.summaries import run_notes

    for note in run_notes(plan):
        say(note)
    return begin_run(study, plan, folder)


def _finish(
    study: "Study", run_id: str, given: dict[str, Any], folder: Path | None, *, as_json: bool
) -> "RunDirectory":
    from mmcli.training_progress import show_training
    from mmstudy.runs.change import record_finish
    from mmstudy.runs.train import find_unfinished
    from mmtrain.page.live import live_page
    from mmtrain.train import train as train_model

    run, config = find_unfinished(study, run_id, given, folder)
    keep_page = partial(live_page, tell=warn)
    with _naming_the_run(run, "--finish"):
        with show_training(plain=False) as progress:
            metrics = train_model(run, study.layout, config, finishing=True, observers=[progress], keep_page=keep_page)
        record_finish(run, metrics["epochs"])
        _enter(study, run, config, metrics, as_json=as_json)
    return run


def _find_finished(
    study: "Study", run_id: str, given: dict[str, Any], folder: Path | None, *, as_json: bool
) -> "RunDirectory | None":
    """Return a run of which nothing is left to do, as of a job that is queued again, and say so."""
    from mmstudy.runs.train import find_finished

    found = find_finished(study, run_id, given, folder)
    if found is not None and rank_of_process() in (None, 0):
        say(f"Run {run_id} is finished already.")
        _enter(study, *found, as_json=as_json)
    return found and found[0]


def _train(
    study: "Study", run: "RunDirectory", config: "RunConfig", gpus: int | None, shown: Shown, *, resumed: bool
) -> None:
    """Train in this process, which may be one of several ranks, or start ranks; the first of them prints."""
    from mmcli.training_progress import show_training
    from mmstudy.runs.train import train_on_ranks
    from mmtrain.page.live import live_page
    from mmtrain.stopping import TrainingStopped
    from mmtrain.train import train as train_model

    if shown.open_it and rank_of_process() is None:
        _open_page(run)
    if gpus is not None:
        train_on_ranks(study, run, config, gpus, as_json=shown.as_json)
        return
    rank = rank_of_process()
    if rank in (None, 0):
        say(f"run {run.run_id}, {config.augmentation.copies} augmented copies")
    keep_page = partial(live_page, tell=warn)
    with _naming_the_run(run, "--resume"):
        try:
            with show_training(plain=rank is not None) as progress:
                metrics = train_model(
                    run, study.layout, config, resumed=resumed, observers=[progress], keep_page=keep_page
                )
        except TrainingStopped:
            if rank is None:
                fail(f"The run was stopped, with a checkpoint. Resume it with: mm train --resume {run.run_id}")
            return
        if rank in (None, 0):
            _enter(study, run, config, metrics, as_json=shown.as_json)


def _open_page(run: "RunDirectory") -> None:
    """Open the page of a run that is about to be trained."""
    from mmtrain.page.live import try_page

    if try_page(run, "training", warn):
        open_page(run.report)


def _write_internal(run: "RunDirectory", shown: Shown) -> None:
    """Write the internal page of a run that has ended, if it was asked for."""
    if not shown.internal or rank_of_process() not in (None, 0):
        return
    from mmtrain.page.live import try_page

    if try_page(run, None, warn, internal=True):
        say(f"Wrote {run.internal_report}. It must not leave the platform.")


@contextmanager
def _naming_the_run(run: "RunDirectory", option: str) -> Iterator[None]:
    """Say on a full disk how this run continues: the same command again might begin another."""
    try:
        yield
    except MmError:
        raise
    except Exception as error:
        if is_full_disk(error):
            raise TrainError(f"{FREE_SOME_SPACE}: mm train {option} {run.run_id}") from error
        raise


def _enter(study: "Study", run: "RunDirectory", config: "RunConfig", metrics: dict[str, Any], *, as_json: bool) -> None:
    """Enter a finished run, and tell its metrics."""
    from mmstudy.runs.enter import enter_run
    from mmtrain.diagnostic import judge_wiring
    from mmtrain.report import metrics_table, wiring_lines

    is_result = not config.data.diagnostic
    problems = enter_run(study, run)
    for problem in problems:
        warn(problem)
    verdicts = [] if is_result else judge_wiring(metrics, config.data.targets)
    pictures = [str(path) for path in sorted(run.plots.glob("*.png"))]
    page = str(run.report) if run.report.exists() else None
    report(
        as_json,
        {
            "run_id": run.run_id,
            "run_directory": str(run.path),
            "page": page,
            "pictures": pictures,
            "entered": is_result and not problems,
            **({} if is_result else {"wiring": [verdict.to_json() for verdict in verdicts]}),
            **metrics,
        },
        [
            metrics_table(metrics, config.data.targets),
            *wiring_lines(verdicts),
            f"run directory  {run.path}",
            *([f"page           {page}"] if page else []),
        ],
    )
    _require_wiring(verdicts)


def _require_wiring(verdicts: Sequence["WiringVerdict"]) -> None:
    """End with exit code 1 where a label was not found."""
    if not all(verdict.ok for verdict in verdicts):
        raise TrainError(
            "The network did not find the label in its inputs.",
            "If its validation loss was still falling, give more --epochs or a larger --learning-rate. Otherwise try "
            "each of the --inputs alone: the one that fails is not wired up rightly.",
        )
