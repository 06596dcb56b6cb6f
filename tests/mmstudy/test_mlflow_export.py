"""Finished runs on an MLflow server: what is there, each thing once, and nothing of a sample."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from mmstudy.results.mlflow_export import export_to_mlflow
from mmstudy.results.read import read_results
from mmstudy.settings import load_study
from mmtrain.errors import TrainError
from mmtrain.loggers import mlflow as logger
from tests.conftest import RunMm
from tests.mmstudy.finished_runs import AGE, SEX, add_run, make_study
from tests.mmtrain.mlflow_store import use_store

EPOCH = {"val": {"r2": 0.5}, "samples_per_second": 9.0, "wait_share": 0.0}
needs_mlflow = pytest.mark.skipif(
    find_spec("mlflow") is None, reason="MLflow's client is not installed: pip install mlflow-skinny"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A study with a network of two epochs, a baseline without any, and a run that is not finished."""
    study = make_study(tmp_path / "study")
    of_age = add_run(study, "age_1", AGE, {"best_epoch": 2, "val": {"r2": 0.5}, "test": {"r2": 0.25, "r": None}})
    epochs = [{"epoch": number, "train_loss": 1 / number, "val_loss": 2 / number} | EPOCH for number in (1, 2)]
    of_age.epochs.write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    add_run(study, "sex_1", SEX, {"best_epoch": 0, "test": {"auroc": 0.75}})
    add_run(study, "sex_2", SEX, None)
    return study.layout.root


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return use_store(tmp_path / "mlflow", monkeypatch)


def told(uri: str) -> dict[str, Any]:
    client = logger._make_client(uri)
    runs = client.search_runs([client.get_experiment_by_name("mm").experiment_id])
    return {run.data.tags["mm.run_id"]: run for run in runs}


@needs_mlflow
def test_finished_runs_are_sent_once_with_settings_epochs_and_metrics(
    root: Path, server: str, run_mm: RunMm, tmp_path: Path
) -> None:
    results = []
    for choice in (["--target", "age"], [], []):
        result = run_mm("--study", root, "runs", *choice, "--to-mlflow", server, "--json")
        assert result.exit_code == 0, result.output
        results.append(json.loads(result.stdout)["sent"])
    assert results == [["age_1"], ["sex_1"], []]
    runs = told(server)
    assert runs.keys() == {"age_1", "sex_1"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["age_1"].data.params["inputs"] == "flair,t1"
    assert runs["age_1"].data.metrics["final/test/r2"] == 0.25
    history = logger._make_client(server).get_metric_history(runs["age_1"].info.run_id, "loss/val")
    assert [(metric.step, metric.value) for metric in history] == [(1, 2.0), (2, 1.0)]
    assert runs["sex_1"].data.metrics == {"final/test/auroc": 0.75}
    written = b"".join(path.read_bytes() for path in (tmp_path / "mlflow").rglob("*") if path.is_file())
    assert str(root).encode() not in written and f"{0:016x}".encode() not in written


@needs_mlflow
def test_what_a_stopped_export_left_is_completed(root: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    results = read_results(load_study(root)).results[:1]

    def stop(*_: object) -> None:
        raise ConnectionError("the server is gone")

    with monkeypatch.context() as patched, pytest.raises(TrainError, match=r"the server is gone.*same command again"):
        patched.setattr(logger.MlflowRun, "_send_scalars", stop)
        list(export_to_mlflow(results, server))
    assert list(export_to_mlflow(results, server)) == [("age_1", True)]
    assert told(server)["age_1"].info.status == "FINISHED"


@pytest.mark.parametrize(
    ("uri", "message"), [("http://me:secret@h", "holds a user or password"), ("", "needs an address")]
)
def test_an_address_that_cannot_be_used_is_one_line(root: Path, run_mm: RunMm, uri: str, message: str) -> None:
    result = run_mm("--study", root, "runs", "--to-mlflow", uri)
    assert result.exit_code == 1 and message in result.stderr and "secret" not in result.stderr


def test_without_the_client_it_says_what_to_install(root: Path, run_mm: RunMm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logger, "find_spec", lambda _: None)
    result = run_mm("--study", root, "runs", "--to-mlflow", "http://127.0.0.1:9")
    assert result.exit_code == 1 and "pip install 'megamodeller[mlflow]'" in result.stderr
