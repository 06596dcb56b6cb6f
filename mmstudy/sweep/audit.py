"""The audit of a sweep before it begins: what would refuse all runs of a target one by one is told at once."""

from collections.abc import Collection, Iterator, Mapping

from mmdata.study import Study
from mmstudy.progress import Progress
from mmstudy.runs.plan import CriticalFindingsError, plan_run
from mmstudy.sweep.cells import Cell
from mmstudy.sweep.job_settings import settings_of_job
from mmstudy.sweep.jobs import Job
from mmstudy.sweep.plan import SweepPlan, scheme_of
from mmtrain.errors import TrainError


def require_sound(study: Study, plan: SweepPlan, accepted: Collection[str], progress: Progress) -> None:
    """Audit the targets of a sweep, each with the cell that reads the most; every job audits itself when it begins.

    Parameters
    ----------
    accepted
        Codes of critical findings that the user accepts.

    Raises
    ------
    TrainError
        There are critical findings; it says about which targets.
    """
    cells, refused = list(_widest_cells(plan)), dict[str, CriticalFindingsError]()
    with progress("audited targets") as on_progress:
        for number, cell in enumerate(cells, 1):
            if (error := _refusal(study, plan, cell, accepted)) is not None:
                refused[cell.target] = error
            on_progress(number, len(cells))
    if refused:
        raise _error(refused)


def _widest_cells(plan: SweepPlan) -> Iterator[Cell]:
    """Yield of each target the cell that reads the most."""
    cells = [of.cell for of in plan.trainable]
    for target in dict.fromkeys(cell.target for cell in cells):
        yield max(
            (cell for cell in cells if cell.target == target), key=lambda cell: (len(cell.blocks), len(cell.inputs))
        )


def _refusal(study: Study, plan: SweepPlan, cell: Cell, accepted: Collection[str]) -> CriticalFindingsError | None:
    """Return why the audit refuses a model of a cell; None: it does not. What else cannot be is told by its job."""
    job = Job(name="", targets=(cell.target,), inputs=cell.inputs, blocks=cell.blocks, seed=plan.settings.seeds[0])
    given = settings_of_job(job, plan.settings, plan.required_inputs)
    scheme = scheme_of(plan.settings, min(plan.settings.folds, 1))
    try:
        plan_run(study, job.targets, given, scheme=scheme, accepted=accepted)
    except CriticalFindingsError as error:
        return error
    except TrainError:
        return None
    return None


def _error(refused: Mapping[str, CriticalFindingsError]) -> TrainError:
    targets: dict[str, list[str]] = {}
    for target, error in refused.items():
        for told in error.told:
            targets.setdefault(told, []).append(target)
    codes = dict.fromkeys(code for error in refused.values() for code in error.codes)
    return TrainError(
        "The audit has critical findings. " + " ".join(f"{', '.join(of)}: {told}" for told, of in targets.items()),
        "Mend them (mm audit shows all), leave these targets out, or train all the same with "
        f"{' '.join(f'--accept {code}' for code in codes)}; the runs record it.",
    )
