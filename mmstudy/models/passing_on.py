"""Whether a run may be passed on: it is a result, nobody has withdrawn, and it has not learnt from few people alone."""

from mmbase.disclosure import SMALLEST_COUNT
from mmdata.study import Study
from mmstudy.models.find import FoundModel
from mmstudy.runs.trunk import trunk_of
from mmtrain.data.cohort import Cohort, read_cohort
from mmtrain.errors import TrainError
from mmtrain.page.facts import RunFacts
from mmtrain.page.reading import read_facts
from mmtrain.run import RunDirectory


def require_passable(study: Study, found: FoundModel) -> tuple[RunFacts, Cohort]:
    """Refuse a run that may not be passed on; return what is known of one that may.

    Raises
    ------
    TrainError
        It is unfinished, damaged or a wiring check, participants have withdrawn, or it has learnt from fewer than ten.
    """
    run = RunDirectory(found.path)
    _require_sound(run)
    require_nobody_withdrawn(study, found)
    facts = read_facts(run, "finished")
    if facts.settings.get("diagnostic"):
        raise TrainError(
            f"Run {run.run_id} is a wiring check: it was given its labels as inputs, and is no model to pass on."
        )
    if facts.problems:
        raise TrainError(
            f"Parts of run {run.run_id} cannot be read: {' '.join(facts.problems)}",
            "Put them back from a backup (mm verify names damaged files).",
        )
    trunk, cohort = trunk_of(study.layout, found.card), read_cohort(run.cohort)
    _require_many(run, cohort)
    if trunk is not None:
        _require_many(trunk, read_cohort(trunk.cohort))
    return facts, cohort


def require_nobody_withdrawn(study: Study, found: FoundModel) -> None:
    """Refuse a run of whose cohort, or of whose trunk's cohort, participants have withdrawn.

    Raises
    ------
    TrainError
        Some have.
    """
    for run in (RunDirectory(found.path), trunk_of(study.layout, found.card)):
        if run is not None and run.withdrawn.exists():
            raise TrainError(
                f"Participants of run {run.run_id} have withdrawn since it was trained, and what it learnt from them "
                "must not be passed on.",
                "Train it again without them, then export the new run.",
            )


def _require_sound(run: RunDirectory) -> None:
    """Refuse a run that is no result, or of which it is not known what may be told."""
    if not run.metrics.exists():
        raise TrainError(
            f"Run {run.run_id} is not finished, so nothing is known of how good it is.",
            f"Finish it first: mm train --resume {run.run_id}",
        )
    if missing := [path.name for path in (run.config, run.cohort, run.predictions) if not path.exists()]:
        raise TrainError(
            f"Run {run.run_id} lacks {', '.join(missing)}, so it is not known what may be told of it.",
            "Put it back from a backup.",
        )


def _require_many(run: RunDirectory, cohort: Cohort) -> None:
    """Refuse a run that has learnt from fewer participants than may be told of."""
    if len(set(cohort.participants[cohort.members("train")].tolist())) < SMALLEST_COUNT:
        raise TrainError(
            f"Run {run.run_id} was trained on fewer than {SMALLEST_COUNT} participants: what it knows of its inputs "
            "may tell of single persons, so it cannot be passed on."
        )
