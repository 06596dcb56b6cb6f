"""What the finished jobs of a sweep came to, cell by cell."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

import polars as pl

from mmbase.errors import MmError
from mmdata.study import Study
from mmstudy.comparison.from_runs import Served
from mmstudy.comparison.totals import TIMED, TRUNK
from mmstudy.results.read import read_run
from mmstudy.sweep.cells import Cell
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.jobs import Job
from mmstudy.sweep.plan import SweepPlan
from mmstudy.sweep.state import read_states
from mmtrain.errors import TrainError


def served_cells(study: Study, sweep: SweepDirectory, plan: SweepPlan) -> tuple[list[Served], list[str]]:
    """Return the cells that finished runs are models of, and the problems of runs that cannot be read."""
    served: list[Served] = []
    problems: list[str] = []
    jobs = {job.name: job for job in plan.jobs if job.serves}
    cells = {planned.cell.name: planned.cell for planned in plan.cells}
    for name, state in read_states(sweep, jobs).items():
        if state.outcome == "finished":
            try:
                served += _cells_of(study, jobs[name], cells, state.run_id)
            except MmError as error:
                problems.append(f"{name}: {error}")
    return served, problems


def timed_trunks(study: Study, sweep: SweepDirectory, plan: SweepPlan) -> pl.DataFrame:
    """Return how long the finished trunks of a sweep were trained, as `TIMED`; without those that cannot be read."""
    trunks = {job.name: job for job in plan.jobs if not job.serves}
    rows: list[tuple[Any, ...]] = []
    for name, state in read_states(sweep, trunks).items():
        if state.outcome == "finished":
            with suppress(MmError):
                minutes = read_run(study, state.run_id)[0].minutes
                rows.append((TRUNK, trunks[name].network, list(trunks[name].inputs), [], state.run_id, minutes))
    return pl.DataFrame(rows, schema=TIMED, orient="row")


def require_results(
    sweep: SweepDirectory, plan: SweepPlan, served: Collection[Served], warn: Callable[[str], None]
) -> None:
    """Say how much of a sweep there is to compare.

    Raises
    ------
    TrainError
        Nothing.
    """
    if not served:
        raise TrainError(f"The sweep {sweep.name} has no finished run yet.", "See how far it is with: mm sweep status")
    expected = sum(len(cells) for job in plan.jobs for cells in job.serves.values())
    if len(served) < expected:
        warn(f"{expected - len(served)} of {expected} models are not finished: what is said is of the others.")


def _cells_of(study: Study, job: Job, cells: Mapping[str, Cell], run_id: str) -> Iterator[Served]:
    results = {result.target: result for result in read_run(study, run_id)}
    for method, names in job.serves.items():
        for name in names:
            yield Served(result=results[cells[name].target], cell=cells[name], method=method)
