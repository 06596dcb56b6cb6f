"""Train one model: cohort and stores in; weights, card, metrics, predictions, pictures and a page out.

Read `train_as_rank` from top to bottom. A run that is resumed after any step, on any number of ranks, ends as if it had
never stopped.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from mmbase.files import write_json_lines
from mmdata.execution.allocator import keep_freed_memory
from mmdata.store.schema import StudyLayout
from mmtrain.checkpoint import Progress
from mmtrain.config.run import RunConfig
from mmtrain.convolution_check import check_convolutions
from mmtrain.data.cache_plan import STREAMED
from mmtrain.data.cohort import read_cohort
from mmtrain.device import choose_device
from mmtrain.epoch import calibrate, train_epoch
from mmtrain.evaluate import evaluate
from mmtrain.fit import fit_at_once
from mmtrain.kept import Kept, keep_rows
from mmtrain.learner import build_learner
from mmtrain.logs import open_loggers
from mmtrain.memory import explain_exhaustion
from mmtrain.models.card import write_card
from mmtrain.models.trained import TrainedModel, load_model, model_of_card
from mmtrain.observer import Observers, RunStart, TrainingObserver
from mmtrain.page.live import PageKeeper, live_page, without_page
from mmtrain.ranks.group import join_ranks
from mmtrain.results import Tested, collect_metrics, write_results
from mmtrain.run import RunDirectory, hold_run
from mmtrain.settled import precision_to_finish, settle_precision
from mmtrain.state import Run, end_epoch, keep_epoch, resume, take_up_best
from mmtrain.stopping import heed_signals
from mmtrain.task import describe_model, prepare_task, training_portions


def train(
    directory: RunDirectory,
    layout: StudyLayout,
    config: RunConfig,
    *,
    resumed: bool = False,
    finishing: bool = False,
    observers: Sequence[TrainingObserver] = (),
    keep_page: PageKeeper = live_page,
    kept: Kept | None = None,
) -> dict[str, Any]:
    """Train until the validation loss stops falling, test the best epoch once, and return what metrics.json holds.

    Every rank that torchrun started calls this; rank 0 writes.

    Parameters
    ----------
    resumed
        Continue from the last checkpoint.
    finishing
        Train no more: test the best of the epochs that are finished.
    observers
        Who is told how it goes, beside the loggers of the settings; rank 0 tells them.
    keep_page
        Keeps the page of the run while it lasts: `live_page`, or `without_page`.
    kept
        What this process keeps from run to run; None: it trains no other.

    Raises
    ------
    TrainError
        The cohort, the settings or the checkpoint cannot be used.
    TrainingStopped
        A signal asked for it; a checkpoint was written.
    mmdata.errors.StoreError
        A store is missing or damaged.
    """
    keep_freed_memory()
    device = choose_device(config.execution.device)
    with (
        heed_signals() as stop,
        join_ranks(device, hang_seconds=config.execution.hang_seconds) as ranks,
        hold_run(directory) if ranks.leads else nullcontext(),
        explain_exhaustion(config, ranks.size),
        (keep_page if ranks.leads else without_page)(directory) as page,
    ):
        if finishing:
            config = precision_to_finish(config, device)
        else:
            config = settle_precision(directory, config, device, ranks)
        task = prepare_task(read_cohort(directory.cohort), layout, config, ranks)
        cache = STREAMED
        if not finishing:  # which reads every row once
            task, cache = keep_rows(kept or Kept(), task, runs_follow=kept is not None)
        if kept is not None:
            task = replace(task, reductions=kept.reductions)
        run = Run(directory, task, build_learner(task), Progress(), stop)
        slow = ""
        if finishing:
            take_up_best(run)
        else:
            slow = check_convolutions(task, run.learner.network)
            if resumed:
                resume(run)
        notes = tuple(filter(None, (cache.note, slow)))
        with _told(run, (page, *observers), resumed=resumed or finishing, notes=notes) as observer:
            if not finishing:
                train_as_rank(run, observer)
            return finish(run, observer)


def train_as_rank(run: Run, observer: TrainingObserver) -> None:
    """Do what one rank does in a run until it learns no more."""
    directory, task = run.directory, run.task
    if task.ranks.leads:
        write_json_lines(directory.epochs, run.progress.history)
        write_card(directory.model_card, describe_model(task))
    while has_epochs_left(run):
        epoch = run.progress.epoch + 1
        portions = training_portions(task, epoch)
        if task.architecture.fit is None:
            train_epoch(run, portions, observer)
        else:
            fit_at_once(run, observer)
            write_card(directory.model_card, describe_model(run.task))  # of the sizes that the fit has found
        observer.on_validation(epoch)
        calibrate(run, portions)
        val_loss, prediction_NT = evaluate(task, run.learner.network, "val")
        entry = end_epoch(run, val_loss, prediction_NT)
        if task.ranks.leads:
            keep_epoch(run, entry)
            observer.on_epoch(entry)


def max_epochs(run: Run) -> int:
    """Return the epoch after which a run ends at the latest."""
    return run.task.config.optimisation.epochs if run.task.architecture.fit is None else 1


def has_epochs_left(run: Run) -> bool:
    """Return whether another epoch may bring a better model."""
    progress = run.progress
    since_best = progress.epoch - progress.best_epoch
    return progress.epoch < max_epochs(run) and since_best < run.task.config.optimisation.patience


def finish(run: Run, observer: TrainingObserver) -> dict[str, Any]:
    """Validate and test the best epoch; write predictions and, last of all, the metrics.

    Training samples are predicted as well, as they are: what attacks on the run are measured with (`mm privacy`).
    """
    observer.on_test(run.progress.best_epoch)
    network = best_model(run).network
    evaluated = {split: evaluate(run.task, network, split) for split in ("val", "test")}
    tested = Tested(
        predictions={split: prediction for split, (_, prediction) in evaluated.items()},
        losses={split: loss for split, (loss, _) in evaluated.items()},
        training_prediction=None if run.task.config.data.diagnostic else evaluate(run.task, network, "train")[1],
    )
    metrics = collect_metrics(run.task, network, run.progress, tested)
    if run.task.ranks.leads:
        write_results(run.directory, run.task, tested, metrics)
    observer.on_end(metrics)
    return metrics


def best_model(run: Run) -> TrainedModel:
    """Return the model of the best epoch as anybody would load it; the ranks that do not write get it from rank 0."""
    task = run.task
    if task.ranks.leads:
        model = load_model(run.directory.path, task.device, task.dtype)
    else:
        model = model_of_card(describe_model(task), task.device, task.dtype)
    task.ranks.copy_from_first(model.network.state_dict().values())
    return model


@contextmanager
def _told(
    run: Run, observers: Sequence[TrainingObserver], *, resumed: bool, notes: tuple[str, ...]
) -> Iterator[TrainingObserver]:
    """Open the run's loggers and tell them and the observers, on the rank that writes; the others tell nobody."""
    if not run.task.ranks.leads:
        yield Observers()
        return
    start = RunStart(
        directory=run.directory,
        config=run.task.config,
        max_epochs=max_epochs(run),
        resumed=resumed,
        history=tuple(run.progress.history),
        notes=notes,
    )
    with open_loggers(start) as loggers:
        observer = Observers((*loggers, *observers))
        observer.on_begin(start)
        yield observer
