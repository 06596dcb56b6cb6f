"""Whether a worker can work at all: where its device or its disk is dead, every job would fail for it."""

from dataclasses import dataclass

import torch

from mmbase.errors import MmError, first_line
from mmstudy.sweep.directory import SweepDirectory
from mmtrain.device import choose_device

MAX_FAILURES = 3
"""Jobs in a row that may fail by errors nobody foresaw: then it is hardly the jobs."""
_LOOK_AT_DISK = "See whether the file system is there, then run the same command again."
_LOOK_AT_GPU = "See nvidia-smi and the kernel's log (dmesg), then run the same command again."


class BrokenWorkerError(MmError):
    """A process cannot train, and that is no fault of the job that it is at."""


@dataclass(slots=True)
class Health:
    """Whether the process of a worker can still train."""

    sweep: SweepDirectory
    device: str
    """As a run's setting."""
    num_failures: int = 0
    """Jobs that have failed in a row by errors that are no `MmError`."""

    def require(self) -> None:
        """Compute a little and read a little.

        Raises
        ------
        BrokenWorkerError
            The device or the disk is dead.
        """
        try:
            self.sweep.plan.read_bytes()
        except OSError as error:
            raise BrokenWorkerError(f"The study's disk cannot be read: {error.strerror}.", _LOOK_AT_DISK) from error
        try:
            _compute_on(choose_device(self.device))
        except torch.OutOfMemoryError:
            return  # others have taken it: the device is well
        except Exception as error:  # CUDA has no class of errors of its own
            what = f"The device {self.device} cannot be used: {first_line(error)}"
            raise BrokenWorkerError(what, _LOOK_AT_GPU) from error

    def require_after(self, error: Exception) -> None:
        """Look whether what made a job fail is the fault of something else than the job.

        Raises
        ------
        BrokenWorkerError
            The device or the disk is dead, or it is one of many errors in a row.
        """
        self.require()
        self.num_failures = 0 if isinstance(error, MmError) else self.num_failures + 1
        if self.num_failures >= MAX_FAILURES:
            raise BrokenWorkerError(
                f"{self.num_failures} jobs in a row have failed, the last with {type(error).__name__}: "
                f"{first_line(error)}."
            ) from error

    def note_success(self) -> None:
        """Hear that a job is finished."""
        self.num_failures = 0


def _compute_on(device: torch.device) -> None:
    """Use a GPU: an error of an earlier step is told by the next call, and stays until the process ends."""
    if device.type == "cuda":
        torch.zeros(1, device=device)
        torch.cuda.synchronize(device)
