"""Where else a run's numbers go: `--log NAME:ARGUMENT`, a file of mmtrain/loggers for each name.

A logger gets what describes the run as a whole: settings, losses and metrics. Nothing of a single sample.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Protocol

from mmtrain import loggers
from mmtrain.config.execution import ALWAYS_LOGGED, LogTarget, parse_log
from mmtrain.discovery import load_choice
from mmtrain.observer import RunStart, TrainingObserver
from mmtrain.state import EpochEntry


class Logger(Protocol):
    """What a file of mmtrain/loggers has to offer."""

    def require(self, argument: str) -> None:
        """Refuse an argument that cannot be used, or a package that is not installed.

        Raises
        ------
        TrainError
            Says what to give or to install.
        """
        ...

    def open(self, start: RunStart, argument: str) -> AbstractContextManager[TrainingObserver]:
        """Return what is told of the run while a block lasts.

        Raises
        ------
        TrainError
            It cannot be reached, and the run is new.
        """
        ...


def require_loggers(logs: Sequence[str]) -> None:
    """Refuse loggers that cannot be used here, before a run is made.

    Raises
    ------
    TrainError
        Names one, and says what to do.
    """
    for target in map(parse_log, logs):
        _load(target).require(target.argument)


@contextmanager
def open_loggers(start: RunStart) -> Iterator[list[TrainingObserver]]:
    """Open the loggers of a run, TensorBoard always first.

    Raises
    ------
    TrainError
        One cannot be used.
    """
    logs = start.config.execution.log
    targets = {target.name: target for target in (LogTarget(ALWAYS_LOGGED), *map(parse_log, logs))}
    require_loggers(logs)
    with ExitStack() as stack:
        yield [stack.enter_context(_load(target).open(start, target.argument)) for target in targets.values()]


def epoch_scalars(entry: EpochEntry) -> dict[str, float]:
    """Return the numbers of an epoch by name; those that are missing or not finite are left out.

    >>> entry = {"train_loss": 0.5, "val_loss": 0.25, "val": {"r2": 0.75, "r": None}}
    >>> epoch_scalars(entry | {"samples_per_second": 912.0, "wait_share": 0.0})  # doctest: +NORMALIZE_WHITESPACE
    {'loss/train': 0.5, 'loss/val': 0.25, 'val/r2': 0.75,
     'speed/samples_per_second': 912.0, 'speed/wait_share': 0.0}
    """
    losses = {"loss/train": entry["train_loss"], "loss/val": entry["val_loss"]}
    measured = {f"val/{name}": value for name, value in entry["val"].items()}
    speed = {f"speed/{name}": entry[name] for name in ("samples_per_second", "wait_share")}
    return _finite(losses | measured | speed)


def final_scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics of a finished run by split and name.

    >>> final_scalars({"val": {"r2": 0.75}, "test": {"r2": 0.5, "r": None}, "n": {"test": 8}})
    {'final/val/r2': 0.75, 'final/test/r2': 0.5}
    """
    scores = {split: metrics[split] for split in ("val", "test")}
    return _finite({f"final/{split}/{name}": value for split in scores for name, value in scores[split].items()})


def _finite(scalars: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in scalars.items() if value is not None and math.isfinite(value)}


def _load(target: LogTarget) -> Logger:
    logger: Logger = load_choice(loggers, target.name, "LOGGER", "logger")
    return logger
