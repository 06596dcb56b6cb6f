"""Begin a sweep, or go on with one: its plan is kept, and only a sweep of the same settings goes on under its name."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from mmbase.files import make_directory, to_json
from mmbase.lock import LockHeldError, hold_lock
from mmdata.study import Study
from mmstudy.results.compare import differences, short_value
from mmstudy.sweep.directory import SweepDirectory, sweep_directory
from mmstudy.sweep.plan import SweepPlan
from mmstudy.sweep.state import try_again
from mmstudy.sweep.stored_plan import read_plan, write_plan
from mmtrain.config.changes import EXECUTION
from mmtrain.errors import TrainError

_WAIT_SECONDS = 60.0
"""For another command that begins a sweep of the study."""


def begin_sweep(study: Study, name: str, plan: SweepPlan, accepted: Sequence[str], *, retry: bool) -> SweepDirectory:
    """Return the directory of a sweep whose workers can begin.

    Parameters
    ----------
    accepted
        Codes of critical findings of the audit that the user accepts, from now on for all jobs that are begun.
    retry
        Let what has failed be done again.

    Raises
    ------
    TrainError
        Nothing can be trained, or there is a sweep of that name with other settings.
    """
    sweep = sweep_directory(study.layout, name)
    with _alone(study):
        if sweep.is_begun:
            there, before = read_plan(sweep)
            _require_same(sweep, there, plan)
            accepted = tuple(dict.fromkeys((*before, *accepted)))
            plan = there
        elif not plan.jobs:
            reasons = sorted({of.population.reason for of in plan.cells})
            raise TrainError(f"None of the {len(plan.cells)} models can be trained. {' '.join(reasons[:3])}")
        sweep.make()
        write_plan(sweep, plan, accepted)
        sweep.stop.unlink(missing_ok=True)
        if retry:
            try_again(sweep, {job.name: job for job in plan.jobs}, study.layout.runs)
    return sweep


@contextmanager
def _alone(study: Study) -> Iterator[None]:
    """Keep two commands from beginning a sweep at once."""
    make_directory(study.layout.sweeps)
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(study.layout.sweeps / "lock", wait_seconds=_WAIT_SECONDS))
        except LockHeldError as error:
            raise TrainError(
                f"Another command, process {error.holder}, is beginning a sweep of this study.",
                "Try again when it has.",
            ) from error
        yield


def _require_same(sweep: SweepDirectory, there: SweepPlan, plan: SweepPlan) -> None:
    plain = [json.loads(to_json(of.settings.to_json())) for of in (there, plan)]  # as a file has them: no tuples
    flat = [{**settings.pop("train"), **settings} for settings in plain]
    changed = differences([{name: of[name] for name in of if name not in EXECUTION} for of in flat])
    if changed:
        told = "; ".join(f"{name} {short_value(old)}, now {short_value(new)}" for name, (old, new) in changed.items())
        raise TrainError(
            f"The sweep {sweep.name} was begun with other settings: {told}.",
            f"Go on with it by mm sweep --name {sweep.name} alone, or give another --name to begin another.",
        )
    planned = {job.name: job.participants for job in plan.jobs}
    others = [job for job in there.jobs if job.participants and planned.get(job.name) != job.participants]
    if others or planned.keys() != {job.name for job in there.jobs}:
        raise TrainError(
            f"The study's samples have changed since the sweep {sweep.name} was planned.",
            "Give another --name to begin another: models of different samples cannot be compared.",
        )
