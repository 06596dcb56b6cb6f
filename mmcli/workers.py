"""Where tasks of a command run: processes of this machine, a Dask cluster, or SLURM jobs."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbase.settings import Option

if TYPE_CHECKING:
    from mmdata.execution.pools import WorkerPool


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterSettings:
    """Other machines that tasks run on."""

    scheduler: str | None = None
    """Run on this Dask cluster, e.g. tcp://node1:8786."""
    slurm: bool = False
    """Run in SLURM jobs, as many as --workers."""
    slurm_options: Annotated[tuple[str, ...], Option("--slurm-option", repeatable=True)] = ()
    """A line for sbatch, e.g. --partition=cpu; repeatable."""
    walltime: str = "12:00:00"
    """Of each SLURM job, HH:MM:SS."""


def worker_pool(workers: int, cluster: ClusterSettings, directory: Path) -> "WorkerPool":
    """Return where tasks are to run.

    Parameters
    ----------
    workers
        Processes or SLURM jobs.
    directory
        For the files of SLURM jobs.

    Raises
    ------
    typer.BadParameter
        Options contradict each other.
    """
    from mmdata.execution.pools import LocalPool, SchedulerPool
    from mmdata.execution.slurm import SlurmPool

    if cluster.scheduler and cluster.slurm:
        raise typer.BadParameter("give either --scheduler or --slurm", param_hint="--slurm")
    if cluster.scheduler:
        return SchedulerPool(address=cluster.scheduler)
    if cluster.slurm:
        return SlurmPool(
            jobs=workers, directory=directory, walltime=cluster.walltime, options=tuple(cluster.slurm_options)
        )
    if cluster.slurm_options:
        raise typer.BadParameter("is for SLURM jobs; give --slurm too", param_hint="--slurm-option")
    return LocalPool(processes=workers)
