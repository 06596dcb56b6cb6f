"""Where the models of a comparison come from: a sweep of a study, or a table in the published columns."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from catalog.fields import Dictionary
from mmdata.study import Study
from mmstudy.comparison.compare import Comparison, compare
from mmstudy.comparison.from_runs import scores_of_runs
from mmstudy.comparison.predictions import RunPredictions
from mmstudy.comparison.published_table import read_published
from mmstudy.comparison.scores import choose_rows
from mmstudy.dictionary import study_dictionary
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.results import require_results, served_cells, timed_trunks
from mmstudy.sweep.settings import FROZEN_METHOD
from mmstudy.sweep.stored_plan import read_plan

Chosen = Mapping[str, Sequence[str]]
"""Values of columns of the scores: only models with one of them are compared."""
_ALL: Chosen = {}


def compare_table(table: Path, dictionary: Dictionary, chosen: Chosen = _ALL) -> Comparison:
    """Compare the models of a table.

    Parameters
    ----------
    dictionary
        Domain and kind of the targets that it knows.

    Raises
    ------
    TrainError
        It cannot be read as a table in the published columns, or has nothing of what is chosen.
    """
    return compare(choose_rows(read_published(table, dictionary), chosen), None)


def compare_sweep(
    study: Study, sweep: SweepDirectory, warn: Callable[[str], None], chosen: Chosen = _ALL
) -> Comparison:
    """Compare the finished models of a sweep.

    Parameters
    ----------
    warn
        Is told of runs that cannot be read and of models that are not finished.

    Raises
    ------
    TrainError
        No model is finished or chosen, or models of every target differ in what must be equal.
    """
    plan, _ = read_plan(sweep)
    served, problems = served_cells(study, sweep, plan)
    for problem in problems:
        warn(problem)
    require_results(sweep, plan, served, warn)
    scores = choose_rows(scores_of_runs(served, study_dictionary(study)), chosen)
    reader = RunPredictions({of.result.run_id: of.result.directory for of in served})
    trunks = timed_trunks(study, sweep, plan) if (scores["method"] == FROZEN_METHOD).any() else None
    return compare(scores, reader, each_its_own=plan.settings.each_its_own, trunks=trunks)
