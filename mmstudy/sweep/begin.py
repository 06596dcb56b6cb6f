"""Begin a sweep, or go on with one: its plan is kept, and only a sweep of the same settings goes on under its name."""

import json
from collections.abc import Sequence

from mmbase.files import to_json
from mmdata.study import Study
from mmstudy.results.compare import differences, short_value
from mmstudy.sweep.directory import DEFAULT_NAME, SweepDirectory, sweep_directory
from mmstudy.sweep.plan import SweepPlan
from mmstudy.sweep.state import forget_failures
from mmstudy.sweep.stored_plan import read_plan, write_plan
from mmtrain.errors import TrainError


def begin_sweep(
    study: Study, name: str | None, plan: SweepPlan, accepted: Sequence[str], *, retry: bool
) -> SweepDirectory:
    """Return the directory of a sweep whose workers can begin.

    Parameters
    ----------
    retry
        Let what has failed be done again.

    Raises
    ------
    TrainError
        Nothing can be trained, or there is a sweep of that name with other settings.
    """
    sweep = sweep_directory(study.layout, name or DEFAULT_NAME)
    if sweep.plan.exists():
        _require_same(sweep, plan)
    elif not plan.jobs:
        reasons = sorted({of.population.reason for of in plan.cells})
        raise TrainError(f"None of the {len(plan.cells)} models can be trained. {' '.join(reasons[:3])}")
    else:
        sweep.make()
        write_plan(sweep, plan, accepted)
    sweep.stop.unlink(missing_ok=True)
    if retry:
        forget_failures(sweep, {job.name: job for job in plan.jobs})
    return sweep


def _require_same(sweep: SweepDirectory, plan: SweepPlan) -> None:
    there, _ = read_plan(sweep)
    plain = [json.loads(to_json(of.settings.to_json())) for of in (there, plan)]  # as a file has them: no tuples
    changed = differences([{**settings.pop("train"), **settings} for settings in plain])
    if changed:
        told = "; ".join(f"{name} {short_value(old)}, now {short_value(new)}" for name, (old, new) in changed.items())
        raise TrainError(
            f"The sweep {sweep.name} was begun with other settings: {told}.",
            "Leave them as they were to go on with it, or give another --name to begin another.",
        )
    if [of.population.participants for of in there.cells] != [of.population.participants for of in plan.cells]:
        raise TrainError(
            f"The study's samples have changed since the sweep {sweep.name} was planned.",
            "Give another --name to begin another: models of different samples cannot be compared.",
        )
