"""Where the file system has no locks a sweep has one worker, and is refused where it could have more."""

import fcntl
import os
from errno import ENOLCK

import pytest

from mmbase.lock import NO_LOCK, NoLocksError
from mmdata.study import Study
from mmstudy.sweep.directory import list_sweeps
from mmstudy.sweep.locking import allowed_workers
from mmtrain.errors import TrainError
from tests.conftest import RunMm


@pytest.fixture
def _without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: object, kind: int) -> None:
        raise OSError(ENOLCK, os.strerror(ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fail)


@pytest.mark.parametrize("asked", [None, 1, 8])
@pytest.mark.parametrize("on_cluster", [False, True])
def test_with_locks_there_are_as_many_as_are_asked_for(
    own_study: Study, monkeypatch: pytest.MonkeyPatch, asked: int | None, *, on_cluster: bool
) -> None:
    assert allowed_workers(own_study, asked, on_cluster=on_cluster) == asked
    monkeypatch.setenv(NO_LOCK, "1")  # says what to do where there are none
    assert allowed_workers(own_study, asked, on_cluster=on_cluster) == asked


@pytest.mark.usefixtures("_without_locks")
def test_without_locks_there_is_one_whatever_devices_there_are(
    own_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoLocksError):
        allowed_workers(own_study, None, on_cluster=False)
    monkeypatch.setenv(NO_LOCK, "1")
    assert [allowed_workers(own_study, asked, on_cluster=False) for asked in (None, 1)] == [1, 1]


@pytest.mark.usefixtures("_without_locks")
@pytest.mark.parametrize(("asked", "on_cluster"), [(2, False), (None, True), (1, True)])
def test_without_locks_more_than_one_are_refused(
    own_study: Study, monkeypatch: pytest.MonkeyPatch, asked: int | None, *, on_cluster: bool
) -> None:
    monkeypatch.setenv(NO_LOCK, "1")
    with pytest.raises(TrainError, match=r"has no locks.*--workers 1, without --slurm"):
        allowed_workers(own_study, asked, on_cluster=on_cluster)


@pytest.mark.usefixtures("_without_locks")
@pytest.mark.parametrize("options", [("--workers", "2"), ("--slurm",), ("--scheduler", "tcp://node1:8786")])
def test_the_command_refuses_before_anything_begins(
    own_study: Study, run_mm: RunMm, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv(NO_LOCK, "1")
    result = run_mm("--study", own_study.layout.root, "sweep", "--target", "age", "--inputs", "flair", *options)
    assert result.exit_code == 1
    assert "Workers of a sweep share its jobs by locks" in result.stderr
    assert list_sweeps(own_study.layout) == []
