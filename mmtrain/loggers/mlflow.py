"""An MLflow server, by MLflow's own client: settings, the numbers of each epoch, and the final metrics.

The client is told everything explicitly: it adds neither the user's name nor the command or the host. What a server
missed is sent when it can be reached again, so that each epoch is there once.

Source: https://mlflow.org/docs/latest/api_reference/python_api/mlflow.client.html.
"""

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from mmbase.errors import first_line
from mmbase.files import write_json
from mmbase.json_text import DamagedTextError, read_json
from mmtrain.errors import TrainError
from mmtrain.logs import epoch_scalars, final_scalars
from mmtrain.observer import RunStart, TrainingObserver
from mmtrain.run import RunDirectory
from mmtrain.state import EpochEntry
from mmtrain.stopping import TrainingStopped

EXPERIMENT = "mm"
"""Holds all runs, unless MLFLOW_EXPERIMENT_NAME names another."""
RETRY_SECONDS = 300.0
"""From a try that failed to the next."""
LEFT_OUT = ("log", "stores")
"""Settings that say where things lie; they are not sent."""
MAX_VALUE = 500
"""Characters of a setting that are sent; servers refuse longer ones."""
_FINISHED = "FINISHED"
"""What MLflow calls a run that ended well."""
_BATCH = 100
"""Settings in one request, at most."""
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # its makers are told nothing
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # its own patience is many minutes, for which an epoch would wait
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Of the client, where the user has not set them."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerRun:
    """What mlflow.json of a run holds."""

    uri: str
    run_id: str
    """The server's name for it."""


class MlflowLogger:
    """How an MLflow run is begun or continued."""

    def require(self, argument: str) -> None:
        """Refuse a missing address or package."""
        if not argument:
            raise TrainError("--log mlflow needs an address.", "Give it as --log mlflow:http://HOST:5000.")
        if find_spec("mlflow") is None:
            raise TrainError("MLflow's client is not installed.", "Install it with: pip install 'megamodeller[mlflow]'")

    @contextmanager
    def open(self, start: RunStart, argument: str) -> Iterator[TrainingObserver]:
        """Begin the server's run, or continue the one that mlflow.json names."""
        run = MlflowRun(start, argument)
        try:
            yield run
        except BaseException as error:
            stopped = isinstance(error, TrainingStopped | KeyboardInterrupt)
            run.close("KILLED" if stopped else "FAILED")
            raise
        run.close(_FINISHED)


LOGGER = MlflowLogger()


class MlflowRun(TrainingObserver):
    """A run on a server that may be out of reach for a while, or for good.

    Raises
    ------
    TrainError
        The server cannot be reached and the run is new, or mlflow.json is damaged.
    """

    def __init__(self, start: RunStart, uri: str) -> None:
        self._start, self._uri = start, uri
        self._known = read_server_run(start.directory, uri)
        self._entries = {entry["epoch"]: entry for entry in start.history}
        self._final: tuple[int, dict[str, float]] | None = None
        self._client: Any = None
        self._sent: set[int] = set()
        """Epochs that the server has."""
        self._next_try = 0.0
        self._warned = False
        try:
            self._connect()
        except Exception as error:
            if not start.resumed:
                raise TrainError(
                    _unusable(uri, error),
                    f"Mend that and resume the run: mm train --resume {start.directory.run_id}; "
                    "with --log tensorboard it goes without.",
                ) from error
            self._fail(error)

    def on_epoch(self, entry: EpochEntry) -> None:
        """Send the epoch, and what the server missed before."""
        self._entries[entry["epoch"]] = entry
        if time.monotonic() >= self._next_try:
            self._try()

    def on_end(self, metrics: Mapping[str, Any]) -> None:
        """Keep the final metrics, for `close`."""
        self._final = metrics["best_epoch"], final_scalars(metrics)

    def close(self, status: str) -> None:
        """Send what is left, and how the run ended."""
        self._try(status)

    def _try(self, status: str | None = None) -> None:
        try:
            if self._client is None:
                self._connect()
            self.send(status)
        except Exception as error:  # whatever it is, no training is lost for it
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._next_try = time.monotonic() + RETRY_SECONDS
        if not self._warned:
            self._warned = True
            _logger.warning(
                "warning: MLflow at %s cannot be reached (%s). The training goes on. What is missing there is sent "
                "when it can be reached again, by the end of the run.",
                self._uri,
                first_line(error),
            )

    def _connect(self) -> None:
        client = _make_client(self._uri)
        if self._known is None:
            self._known = ServerRun(self._uri, self._begin(client))
            write_json(self._start.directory.mlflow, {"uri": self._known.uri, "run_id": self._known.run_id})
        else:
            client.update_run(self._known.run_id, status="RUNNING")
            self._sent = {metric.step for metric in client.get_metric_history(self._known.run_id, "loss/train")}
        self._client = client

    def _begin(self, client: Any) -> str:
        """Make a run on the server, with the settings; return its name there."""
        name, run_id = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT), self._start.directory.run_id
        found = client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else client.create_experiment(name)
        made: str = client.create_run(experiment, run_name=run_id, tags={"mm.run_id": run_id}).info.run_id
        param = import_module("mlflow.entities").Param
        params = [param(key, value) for key, value in settings_to_send(self._start.config.to_json()).items()]
        for first in range(0, len(params), _BATCH):
            client.log_batch(made, params=params[first : first + _BATCH])
        return made

    def send(self, status: str | None) -> None:
        """Send the epochs that the server lacks, and at the end the final metrics and how the run ended."""
        assert self._known is not None
        for epoch in sorted(self._entries.keys() - self._sent):
            self._send_scalars(epoch_scalars(self._entries[epoch]), epoch)
            self._sent.add(epoch)
        if status is not None:
            if self._final is not None:
                self._send_scalars(self._final[1], self._final[0])
            self._client.set_terminated(self._known.run_id, status)

    def _send_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        assert self._known is not None
        metric, now = import_module("mlflow.entities").Metric, int(time.time() * 1000)
        metrics = [metric(server_name(name), value, now, step) for name, value in scalars.items()]
        for first in range(0, len(metrics), _BATCH):
            self._client.log_batch(self._known.run_id, metrics=metrics[first : first + _BATCH])


def send_finished(start: RunStart, uri: str, metrics: Mapping[str, Any]) -> bool:
    """Send a finished run, or what the server lacks of it; return whether it lacked anything.

    Parameters
    ----------
    start
        The run, with all its epochs.
    metrics
        What metrics.json holds.

    Raises
    ------
    TrainError
        The server cannot be used, or mlflow.json is damaged.
    """
    known = read_server_run(start.directory, uri)
    try:
        if known is not None and _make_client(uri).get_run(known.run_id).info.status == _FINISHED:
            return False
        run = MlflowRun(start, uri)
        run.on_end(metrics)
        run.send(_FINISHED)
    except Exception as error:  # of the client, of what is between, of a folder that cannot be written
        what_happened = error.what_happened if isinstance(error, TrainError) else _unusable(uri, error)
        raise TrainError(
            what_happened, "Mend that and give the same command again: what is there already is not sent twice."
        ) from error
    return True


def settings_to_send(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return settings as flat texts, without those that say where things lie.

    >>> settings_to_send({"side": 64, "inputs": ["t1", "dwi"], "augmentation": {"noise": 0.5}, "stores": "s3://x"})
    {'side': '64', 'inputs': 't1,dwi', 'augmentation.noise': '0.5'}
    """
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= settings_to_send(value, f"{prefix}{name}.")
        elif prefix or name not in LEFT_OUT:
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            flat[f"{prefix}{name}"] = text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"
    return flat


def server_name(name: str) -> str:
    """Return a metric's name with the characters that MLflow allows.

    >>> server_name("val/LDL (direct).r2")
    'val/LDL _direct_.r2'
    """
    return re.sub(r"[^\w./: -]", "_", name)


def read_server_run(directory: RunDirectory, uri: str) -> ServerRun | None:
    """Return which run of this server a run is; None: it is on none yet, or on another.

    Raises
    ------
    TrainError
        mlflow.json is damaged.
    """
    if not directory.mlflow.exists():
        return None
    try:
        known = read_json(directory.mlflow, ServerRun)
    except (OSError, DamagedTextError) as error:
        raise TrainError(
            f"{directory.mlflow} cannot be read: {error}.", "Delete it: the run then begins anew on the server."
        ) from error
    return known if known.uri == uri else None


def _unusable(uri: str, error: Exception) -> str:
    return f"MLflow at {uri} cannot be used: {first_line(error)}."


def _make_client(uri: str) -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    return import_module("mlflow").MlflowClient(tracking_uri=uri)
