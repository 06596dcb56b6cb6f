"""An MLflow store in a folder, which its client needs no server for."""

from pathlib import Path

import pytest

from mmtrain.loggers import mlflow as logger


def use_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let MLflow's client write into a folder; return the address of the store."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for name, value in logger._ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return folder.as_uri()
