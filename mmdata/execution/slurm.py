"""Dask workers as SLURM jobs, one process each, that come as the queue lets them and go when the work is done."""

import logging
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Security

from mmdata.errors import ClusterError
from mmdata.execution.capacity import BASE_WORKER_BYTES

DEFAULT_TASK_BYTES = 2 << 30
"""Of a task that does not say what it needs."""
_HEADROOM = 1.25
"""Of a job over its task: what Python and the C library keep, and the files that the kernel counts to the job."""
_WALLTIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
_DAY, _HOUR, _MINUTE = 86_400.0, 3_600.0, 60.0
_JOB_PROLOGUE = (
    "export DASK_DISTRIBUTED__WORKER__MEMORY__TARGET=False",
    "export DASK_DISTRIBUTED__WORKER__MEMORY__SPILL=False",
    "export DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE=False",
    "export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES='[]'",
    "export DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT=120s",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SlurmPool:
    """Jobs that mm submits to SLURM and cancels when the work is done."""

    jobs: int
    """Jobs of one core and one worker process each, at least 1."""
    directory: Path
    """For the jobs' logs and the keys they encrypt with, while they run; on a file system that every node sees."""
    walltime: str = "12:00:00"
    """After which SLURM ends a job, as `sbatch --time` takes it; what a job was at is then done by another."""
    options: tuple[str, ...] = ()
    """Of `sbatch`, e.g. ``--partition=cpu``."""
    interface: str | None = None
    """Network interface by which nodes and this machine reach each other, e.g. ``ib0``; None: the default route's."""

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ClusterError(f"Expected at least 1 SLURM job, got {self.jobs}.", "Set --workers.")
        if not _WALLTIME.fullmatch(self.walltime):
            raise ClusterError(f"Expected a walltime such as 12:00:00 or 1-12:00:00, got {self.walltime!r}.")
        for option in self.options:
            if not option.startswith("-") or not option.isprintable():
                raise ClusterError(f"Expected an option of sbatch such as --partition=cpu, got {option!r}.")
        if re.search(r"\s", str(self.directory)):
            raise ClusterError(f"SLURM jobs cannot be given a directory with spaces in its name: {self.directory}")

    @property
    def walltime_seconds(self) -> float:
        """Return the walltime in seconds.

        Source: sbatch(1), --time: minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes or
        days-hours:minutes:seconds.

        Examples
        --------
        >>> [SlurmPool(jobs=1, directory=Path(), walltime=of).walltime_seconds for of in ("90", "1:30", "1:0:0", "1-6")]
        [5400.0, 90.0, 3600.0, 108000.0]
        """
        match = _WALLTIME.fullmatch(self.walltime)
        assert match is not None
        days, *numbers = (None if word is None else int(word) for word in match.groups())
        parts = [number for number in numbers if number is not None]
        begins_with_hours = days is not None or len(parts) == len(numbers)
        units = (_HOUR, _MINUTE, 1.0) if begins_with_hours else (_MINUTE, 1.0)
        return (days or 0) * _DAY + sum(part * unit for part, unit in zip(parts, units, strict=False))


@contextmanager
def submit_jobs(
    pool: SlurmPool, *, num_jobs: int, memory_bytes: int | None, scheduler_options: Mapping[str, Any]
) -> Iterator[Any]:
    """Submit jobs that become workers of a scheduler in this process, and cancel them afterwards.

    Parameters
    ----------
    memory_bytes
        Peak memory of one task; a job asks for a quarter more, and for room for a second Python.

    Yields
    ------
    dask_jobqueue.SLURMCluster
        With the jobs submitted; none may be running yet.

    Raises
    ------
    ClusterError
        dask-jobqueue or SLURM is not installed here, or SLURM refuses the options.
    """
    try:
        from dask_jobqueue.slurm import SLURMCluster  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise ClusterError("SLURM jobs need dask-jobqueue.", "Install it: pip install 'megamodeller[slurm]'") from error
    if not shutil.which("sbatch"):
        raise ClusterError("There is no sbatch on this machine.", "Run mm where jobs are submitted from.")
    pool.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        _keys_in(pool.directory) as security,
        SLURMCluster(
            cores=1,
            processes=1,
            memory=f"{job_bytes(memory_bytes)}B",
            walltime=pool.walltime,
            job_extra_directives=list(pool.options),
            job_script_prologue=list(_JOB_PROLOGUE),
            job_name="mm",
            interface=pool.interface,
            python=shlex.quote(sys.executable),
            log_directory=str(pool.directory),
            security=security,
            scheduler_options=dict(scheduler_options),
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        _require_accepted(cluster.job_script())
        cluster.scale(jobs=num_jobs)
        yield cluster


def job_bytes(memory_bytes: int | None) -> int:
    """Return the memory that a job asks for, in bytes."""
    return int((memory_bytes or DEFAULT_TASK_BYTES) * _HEADROOM) + BASE_WORKER_BYTES


def any_job_left(cluster: Any) -> bool:
    """Return whether SLURM still has one of the jobs, waiting or running, or cannot be asked just now."""
    jobs = list(cluster.workers.values())
    ids = [job.job_id for job in jobs if job.job_id]
    if not ids:
        return not jobs
    queue = subprocess.run(
        ["squeue", "--noheader", "--format=%i", f"--jobs={','.join(ids)}"], capture_output=True, text=True, check=False
    )
    return bool(queue.stdout.strip()) or (queue.returncode != 0 and "Invalid job id" not in queue.stderr)


@contextmanager
def _keys_in(directory: Path) -> Iterator[Security]:
    """Make keys for one cluster, in files that jobs of the same user can read."""
    made = Security.temporary()
    with tempfile.TemporaryDirectory(prefix=".keys-", dir=directory) as folder:
        certificate, key = Path(folder) / "certificate.pem", Path(folder) / "key.pem"
        certificate.write_text(made.tls_worker_cert)
        key.write_text(made.tls_worker_key)
        files = {"cert": str(certificate), "key": str(key)}
        roles = {f"tls_{who}_{what}": file for who in ("scheduler", "worker", "client") for what, file in files.items()}
        yield Security(require_encryption=True, tls_ca_file=str(certificate), **roles)


def _require_accepted(job_script: str) -> None:
    """Let SLURM judge the job before any is submitted: a job refused later would be missed in silence."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(job_script)
        file.flush()
        verdict = subprocess.run(["sbatch", "--test-only", file.name], capture_output=True, text=True, check=False)
    if verdict.returncode:
        raise ClusterError(f"SLURM refuses the job: {verdict.stderr.strip()}.", "Check --walltime and --slurm-option.")
