"""The audit of a sweep before it begins: what would refuse all runs of a target one by one is told at once."""

from collections.abc import Collection, Iterator, Mapping

from mmdata.study import Study
from mmstudy.progress import Progress
from mmstudy.runs.plan import CriticalFindingsError, plan_run
from mmstudy.sweep.jobs import Job, settings_of_job
from mmstudy.sweep.plan import SweepPlan, scheme_of
from mmtrain.errors import TrainError


def require_sound(study: Study, plan: SweepPlan, accepted: Collection[str], progress: Progress) -> None:
    """Audit the targets of a sweep, each with the job that reads the most; every job audits itself when it begins.

    Parameters
    ----------
    accepted
        Codes of critical findings that the user accepts.

    Raises
    ------
    TrainError
        There are critical findings; it says about which targets.
    """
    jobs, refused = list(_widest_jobs(plan)), dict[str, CriticalFindingsError]()
    with progress("audited targets") as on_progress:
        for number, job in enumerate(jobs, 1):
            if (error := _refusal(study, plan, job, accepted)) is not None:
                refused[job.targets[0]] = error
            on_progress(number, len(jobs))
    if refused:
        raise _error(refused)


def _widest_jobs(plan: SweepPlan) -> Iterator[Job]:
    """Yield of each target the job of one target that reads the most, and that needs no other job."""
    alone = [job for job in plan.jobs if len(job.targets) == 1 and not job.trunk]
    for target in dict.fromkeys(job.targets[0] for job in alone):
        yield max(
            (job for job in alone if job.targets[0] == target), key=lambda job: (len(job.blocks), len(job.inputs))
        )


def _refusal(study: Study, plan: SweepPlan, job: Job, accepted: Collection[str]) -> CriticalFindingsError | None:
    """Return why the audit refuses a job; None: it does not. What else a job cannot do is told in its turn."""
    given = settings_of_job(job, plan.settings, plan.required_inputs)
    try:
        plan_run(study, job.targets, given, scheme=scheme_of(plan.settings, job.fold), accepted=accepted)
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
