"""Where else a run's numbers go, and what of them."""

import json
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmtrain.config.run import parse_run_config
from mmtrain.errors import TrainError
from mmtrain.loggers import mlflow as logger
from mmtrain.logs import require_loggers
from mmtrain.run import RunDirectory, find_run
from mmtrain.train import train
from tests.mmtrain.conftest import SETTINGS, StopAfter, TinyStudy
from tests.mmtrain.mlflow_store import use_store

CONNECTIVITY = {"inputs": ("connectivity",), "epochs": 3, "augment": "none"}
needs_mlflow = pytest.mark.skipif(
    find_spec("mlflow") is None, reason="MLflow's client is not installed: pip install mlflow-skinny"
)


@pytest.mark.parametrize(
    ("logs", "message"),
    [
        (("mlfow:http://h",), r"logger to be one of mlflow, tensorboard, got 'mlfow'.*Did you mean mlflow\?"),
        (("mlflow:http://me:secret@h",), "holds a user or password.*MLFLOW_TRACKING_PASSWORD"),
        (("mlflow:http://a", "mlflow:http://b"), "each logger once, got mlflow mlflow"),
    ],
)
def test_a_log_that_cannot_be_is_refused_with_the_settings(logs: tuple[str, ...], message: str) -> None:
    with pytest.raises(TrainError, match=message) as caught:
        parse_run_config(SETTINGS | {"inputs": ("t1",), "log": logs})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("log", "message"), [("mlflow", "needs an address"), ("tensorboard:x", "no argument")])
def test_an_argument_that_does_not_fit_is_refused(log: str, message: str) -> None:
    with pytest.raises(TrainError, match=message):
        require_loggers([log])


def test_a_missing_package_is_one_line_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logger, "find_spec", lambda name: None)
    with pytest.raises(TrainError, match=r"pip install 'megamodeller\[mlflow\]'") as caught:
        require_loggers(["mlflow:http://127.0.0.1:1"])
    assert "\n" not in str(caught.value)


def test_tensorboard_has_each_epoch_once_after_a_resume(fresh_tiny: TinyStudy) -> None:
    run, config = begin(fresh_tiny)
    with pytest.raises(KeyboardInterrupt):
        train(run, fresh_tiny.layout, config, observers=[StopAfter(2)])
    train(run, fresh_tiny.layout, config, resumed=True)
    events = EventAccumulator(str(run.tensorboard))
    events.Reload()
    entries = fresh_tiny.epochs(run)
    for name, values in (("loss/val", [e["val_loss"] for e in entries]), ("val/r2", [e["val"]["r2"] for e in entries])):
        told = events.Scalars(name)
        assert [scalar.step for scalar in told] == [1, 2, 3]
        assert [scalar.value for scalar in told] == pytest.approx(values)


def test_without_log_nothing_is_opened_but_tensorboard(fresh_tiny: TinyStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logger, "MlflowRun", pytest.fail)
    run, config = begin(fresh_tiny)
    assert config.execution.log == ()
    train(run, fresh_tiny.layout, config)
    assert not run.mlflow.exists()


def begin(tiny: TinyStudy, **settings: Any) -> tuple[RunDirectory, Any]:
    run = tiny.begin(**CONNECTIVITY | settings)
    return run, find_run(tiny.layout.runs, run.run_id)[1]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return use_store(tmp_path / "mlflow", monkeypatch)


def read_server(uri: str) -> tuple[Any, Any]:
    """Return the client of a store and the one run that it has."""
    client = logger._make_client(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("mm").experiment_id])
    return client, run


@needs_mlflow
def test_mlflow_gets_settings_epochs_and_final_metrics_and_nothing_of_a_sample(
    fresh_tiny: TinyStudy, server: str, tmp_path: Path
) -> None:
    run, config = begin(fresh_tiny, log=(f"mlflow:{server}",), stores=str(fresh_tiny.layout.root))
    metrics = train(run, fresh_tiny.layout, config)
    client, told = read_server(server)
    assert (told.info.run_name, told.info.status, told.data.tags["mm.run_id"]) == (run.run_id, "FINISHED", run.run_id)
    assert (told.data.params["learning_rate"], told.data.params["inputs"]) == ("0.003", "connectivity")
    assert not {"log", "stores"} & told.data.params.keys()
    losses = client.get_metric_history(told.info.run_id, "loss/val")
    assert [(m.step, m.value) for m in losses] == [(e["epoch"], e["val_loss"]) for e in fresh_tiny.epochs(run)]
    finals = {name: value for name, value in told.data.metrics.items() if name.startswith("final/")}
    assert finals == {f"final/{split}/{k}": v for split in ("val", "test") for k, v in metrics[split].items()}
    written = b"".join(path.read_bytes() for path in (tmp_path / "mlflow").rglob("*") if path.is_file())
    assert run.run_id.encode() in written
    assert not [name for name in (f"{i:016x}".encode() for i in range(40)) if name in written]
    assert str(fresh_tiny.layout.root).encode() not in written


@needs_mlflow
def test_a_resumed_run_continues_the_same_mlflow_run_with_each_epoch_once(fresh_tiny: TinyStudy, server: str) -> None:
    run, config = begin(fresh_tiny, log=(f"mlflow:{server}",))
    with pytest.raises(KeyboardInterrupt):
        train(run, fresh_tiny.layout, config, observers=[StopAfter(2)])
    client, told = read_server(server)
    assert told.info.status == "KILLED"
    train(run, fresh_tiny.layout, config, resumed=True)
    client, told = read_server(server)
    assert json.loads(run.mlflow.read_text()) == {"uri": server, "run_id": told.info.run_id}
    assert told.info.status == "FINISHED"
    assert [metric.step for metric in client.get_metric_history(told.info.run_id, "loss/val")] == [1, 2, 3]


@needs_mlflow
def test_a_server_that_is_lost_costs_one_warning_and_gets_what_it_missed(
    fresh_tiny: TinyStudy, server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run, config = begin(fresh_tiny, log=(f"mlflow:{server}",))
    monkeypatch.setattr(logger, "RETRY_SECONDS", 0.0)
    send, lost = logger.MlflowRun._send_scalars, iter([True, True])

    def send_or_fail(self: Any, scalars: Any, step: int) -> None:
        if next(lost, False):
            raise ConnectionError("Connection refused")
        send(self, scalars, step)

    monkeypatch.setattr(logger.MlflowRun, "_send_scalars", send_or_fail)
    with caplog.at_level(logging.WARNING, "mmtrain"):
        train(run, fresh_tiny.layout, config)
    (told,) = [record.getMessage() for record in caplog.records]
    assert "cannot be reached (Connection refused)" in told
    client, server_run = read_server(server)
    steps = [metric.step for metric in client.get_metric_history(server_run.info.run_id, "loss/val")]
    assert steps == [1, 2, 3] and server_run.info.status == "FINISHED"


@needs_mlflow
def test_a_server_that_is_not_there_refuses_a_new_run_and_not_a_resumed_one(
    fresh_tiny: TinyStudy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in logger._ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run, config = begin(fresh_tiny, log=("mlflow:http://127.0.0.1:9",))
    with pytest.raises(TrainError, match=rf"http://127\.0\.0\.1:9 cannot be used.*--resume {run.run_id}") as caught:
        train(run, fresh_tiny.layout, config)
    assert "\n" not in str(caught.value) and not fresh_tiny_epochs(run)
    with caplog.at_level(logging.WARNING, "mmtrain"):
        train(run, fresh_tiny.layout, config, resumed=True)
    assert len([record for record in caplog.records if record.name.startswith("mmtrain")]) == 1
    assert run.metrics.exists() and not run.mlflow.exists()


def fresh_tiny_epochs(run: RunDirectory) -> str:
    return run.epochs.read_text() if run.epochs.exists() else ""


@pytest.mark.parametrize("content", ["{", '{"uri": 3, "run_id": "x"}', "[]"])
def test_a_damaged_mlflow_json_is_refused_in_one_line(tiny: TinyStudy, content: str) -> None:
    run = tiny.begin(**CONNECTIVITY)
    run.mlflow.write_text(content)
    with pytest.raises(TrainError, match=r"mlflow\.json cannot be read.*Delete it") as caught:
        logger.read_server_run(run, "http://h")
    assert "\n" not in str(caught.value)
