"""A study of its own for sweeps, which change it, and workers that need no process."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmdata.study import Study
from mmstudy.settings import load_study
from mmstudy.sweep import cluster, workers
from mmstudy.sweep.directory import find_sweep
from mmstudy.sweep.work import work
from mmstudy.sweep.worker_process import WorkerOrder


@pytest.fixture
def own_study(study: Path, tmp_path: Path) -> Study:
    """A copy of the tests' study."""
    return load_study(Path(shutil.copytree(study, tmp_path / "study")))


@pytest.fixture
def workers_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each worker that is started do its work in this process, and have ended then."""

    def start(order: WorkerOrder) -> SimpleNamespace:
        study = load_study(order.root)
        sweep = find_sweep(study.layout, order.sweep)
        work(study, sweep, terms=order.terms, command=order.command, parent=None, tell=lambda _: None)
        return SimpleNamespace(poll=lambda: 0, wait=lambda: 0)

    monkeypatch.setattr(workers, "start_worker", start)
    monkeypatch.setattr(cluster, "start_worker", start)
