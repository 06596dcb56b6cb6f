"""Send finished runs to an MLflow server, with what `mm train --log mlflow:URI` sends while it trains."""

from collections.abc import Iterator, Sequence
from typing import Any

from mmbase.json_text import DamagedTextError, parse_json_line, read_json
from mmstudy.results.read import RunResult
from mmtrain.errors import TrainError
from mmtrain.loggers.mlflow import send_finished
from mmtrain.logs import require_loggers
from mmtrain.observer import RunStart
from mmtrain.run import RunDirectory
from mmtrain.state import EpochEntry


def export_to_mlflow(results: Sequence[RunResult], uri: str) -> Iterator[tuple[str, bool]]:
    """Send runs one after the other; yield the name of each, and whether the server lacked it.

    Raises
    ------
    TrainError
        MLflow's client is missing, the address holds a password, the server cannot be used, or a file of a run is
        damaged.
    """
    require_loggers([f"mlflow:{uri}"])
    for run_id, result in {result.run_id: result for result in results}.items():
        history, metrics = _read(result.directory)
        start = RunStart(
            directory=result.directory,
            config=result.config,
            max_epochs=len(history),
            resumed=False,
            history=history,
        )
        yield run_id, send_finished(start, uri, metrics)


def _read(run: RunDirectory) -> tuple[tuple[EpochEntry, ...], dict[str, Any]]:
    """Return the epochs and the final metrics of a finished run."""
    try:
        lines = run.epochs.read_bytes().splitlines() if run.epochs.exists() else []  # a baseline has no epochs
        history = tuple(parse_json_line(line, dict[str, Any]) for line in lines)
        return history, read_json(run.metrics, dict[str, Any])
    except (OSError, DamagedTextError) as error:
        raise TrainError(
            f"What is on record of run {run.run_id} cannot be read: {error}.", "Put it back from a backup."
        ) from error
