"""A dead device or disk, and errors that nobody foresaw one after the other, are told from a job's own failure."""

import errno
import os
from pathlib import Path

import pytest
import torch

from mmstudy.sweep import health as module
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.health import MAX_FAILURES, BrokenWorkerError, Health
from mmtrain.errors import TrainError


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDirectory:
    sweep = SweepDirectory(tmp_path / "sweep")
    sweep.make()
    sweep.plan.write_text("{}")
    return sweep


def test_a_worker_that_can_compute_and_read_is_well(sweep: SweepDirectory) -> None:
    Health(sweep, "cpu").require()


def test_a_device_that_gives_errors_is_told_of(sweep: SweepDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(device: torch.device) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be")

    monkeypatch.setattr(module, "_compute_on", fail)
    with pytest.raises(BrokenWorkerError, match=r"device cpu cannot be used: CUDA error: .*memory access .*See"):
        Health(sweep, "cpu").require_after(TrainError("The loss is not finite."))


def test_a_device_whose_memory_others_have_taken_is_well(
    sweep: SweepDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(device: torch.device) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(module, "_compute_on", fail)
    Health(sweep, "cpu").require()


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_disk_that_cannot_be_read_is_told_of(
    sweep: SweepDirectory, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(path: object) -> bytes:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(type(sweep.plan), "read_bytes", fail)
    with pytest.raises(BrokenWorkerError, match=f"disk cannot be read: {os.strerror(number)}") as caught:
        Health(sweep, "cpu").require()
    assert str(sweep.path) not in str(caught.value)


def test_unforeseen_errors_in_a_row_are_told_of_and_others_or_a_success_are_not(sweep: SweepDirectory) -> None:
    health = Health(sweep, "cpu")
    for error in (KeyError("a"), KeyError("a"), TrainError("The loss is not finite."), KeyError("a"), KeyError("a")):
        health.require_after(error)
    health.note_success()
    for _ in range(MAX_FAILURES - 1):
        health.require_after(KeyError("a"))
    with pytest.raises(BrokenWorkerError, match="3 jobs in a row have failed, the last with ValueError: no such thing"):
        health.require_after(ValueError("no such thing"))


def test_foreseen_errors_never_end_a_worker(sweep: SweepDirectory) -> None:
    health = Health(sweep, "cpu")
    for _ in range(10 * MAX_FAILURES):
        health.require_after(TrainError("The loss is not finite."))
