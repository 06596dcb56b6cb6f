"""What the machine offers: Python, processor, memory, and what networks are trained on."""

import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psutil

from mmbase.errors import MmError, first_line
from mmbase.memory import available_bytes
from mmdata.execution.semaphores import require_semaphores
from mmstudy.doctor.finding import Finding

LITTLE_MEMORY_BYTES = 4 << 30
"""Python with all libraries takes one; the rows of a small run and a worker of the ingest take the rest."""
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
_DEAF_GPU = "Look with nvidia-smi who else uses it. mm train --device cpu does without, CUDA_VISIBLE_DEVICES hides it."
_GIB = 1 << 30


def examine_machine(num_cores: int) -> Iterator[Finding]:
    """Yield what this machine is like.

    Parameters
    ----------
    num_cores
        That this process may use.
    """
    yield _examine_system()
    yield Finding("Python", "ok", f"{platform.python_version()} ({sys.executable})")
    yield from _examine_torch()
    yield Finding("cores", "ok", f"{num_cores} of {psutil.cpu_count()}")
    yield _examine_memory()
    yield _examine_semaphores()
    yield _examine_slurm()


def _examine_system() -> Finding:
    here = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if platform.system() == "Linux":
        inside = " (WSL)" if "microsoft" in platform.release().lower() else ""
        return Finding("system", "ok", here + inside)
    return Finding("system", "note", here, "All but SLURM and huge pages work on macOS.")


def _examine_torch() -> Iterator[Finding]:
    try:
        import torch  # noqa: PLC0415 - where it is missing, all else is still told
    except (ImportError, OSError) as error:  # OSError: a library of CUDA is missing
        yield Finding("PyTorch", "stops", f"it cannot be loaded: {error}", "pip install torch")
        return
    yield Finding("PyTorch", "ok", metadata.version("torch"))
    if not torch.cuda.is_available():
        yield _without_gpu(torch.version.cuda)
        return
    for number in range(torch.cuda.device_count()):
        try:
            properties = torch.cuda.get_device_properties(number)
        except RuntimeError as error:
            yield Finding(f"cuda:{number}", "stops", f"it does not answer: {first_line(error)}", _DEAF_GPU)
        else:
            yield Finding(f"cuda:{number}", "ok", f"{properties.name}, {properties.total_memory / _GIB:.0f} GiB")


def _without_gpu(cuda: str | None) -> Finding:
    """Return why PyTorch has no GPU: there is none, or its build or the driver is the wrong one."""
    if not (_NVIDIA_DRIVER.exists() or shutil.which("nvidia-smi")):
        return Finding("device", "ok", "cpu: there is no NVIDIA driver")
    if cuda is None:
        remedy = "Install the build of PyTorch for CUDA (pytorch.org says how)."
        return Finding("device", "note", "cpu: a GPU is here, and this PyTorch is built without CUDA", remedy)
    remedy = "Update the driver. In a container, start it with --gpus all (Docker) or --nv (Apptainer)."
    return Finding("device", "note", f"cpu: a driver is here, and PyTorch's CUDA {cuda} finds no GPU by it", remedy)


def _examine_memory() -> Finding:
    free = available_bytes()
    found = f"{free / _GIB:.1f} GiB free of {psutil.virtual_memory().total / _GIB:.1f} GiB"
    if free >= LITTLE_MEMORY_BYTES:
        return Finding("memory", "ok", found)
    return Finding("memory", "note", found, "Close other programs; give a job more (--mem).")


def _examine_semaphores() -> Finding:
    try:
        require_semaphores()
    except MmError as error:
        return Finding("shared memory", "stops", error.what_happened, error.what_to_do)
    return Finding("shared memory", "ok", "worker processes can be started")


def _examine_slurm() -> Finding:
    path = shutil.which("sbatch")
    return Finding("SLURM", "ok", path or "no sbatch here: --slurm works where jobs are submitted from")
