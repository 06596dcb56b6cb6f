"""Everything that is said of many models side by side, made of their scores and predictions."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl

from mmstudy.comparison.best import best_sets
from mmstudy.comparison.contenders import (
    CONSTANT,
    OF_CONTENDER,
    SERIES,
    find_contenders,
    leave_incomplete_out,
    require_same,
)
from mmstudy.comparison.contest import PredictionsReader, hold_contest
from mmstudy.comparison.contributions import BINARY, MAIN
from mmstudy.comparison.disclosure import coarse, in_tens, targets_with_small_cells, told_scores
from mmstudy.comparison.families import find_pairs, with_q_values
from mmstudy.comparison.flags import (
    FLAG_NAMES,
    baselines_as_good,
    baselines_not_told_apart,
    with_chance,
    with_one_class,
)
from mmstudy.comparison.intervals import INTERVALS, mean_intervals, own_intervals
from mmstudy.comparison.mixed_models import domain_effects
from mmstudy.comparison.optimism import OPTIMISM, optimism_intervals
from mmstudy.comparison.paired import PAIRED, compare_pairs
from mmstudy.comparison.published_table import METHOD as PUBLISHED
from mmstudy.comparison.totals import TIMED, TRUNK, hours_by_set, total_hours
from mmstudy.wording import duration
from mmtrain.errors import TrainError

EACH_ITS_OWN = (
    "Each cell has its own participants, so differences between cells are also differences between people: "
    "no cell is tested against another."
)
ON_TEST = (
    "There are no validation scores of some models: their best sets were chosen on the test scores that are shown, "
    "which are too good."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Tables of many models side by side; docs/comparison.md says what their numbers mean."""

    results: pl.DataFrame
    """`SCORES` with the interval of the model's score, the best baseline of its cell and its score, and `FLAGS`."""
    best: pl.DataFrame
    """The best set of each target by each method and network, with flags and the optimism of choosing on test."""
    paired: pl.DataFrame
    """Differences of two models on the same participants: `PAIRED` with q and verdict."""
    effects: pl.DataFrame
    """`mmstudy.comparison.mixed_models.EFFECTS`."""
    hours: pl.DataFrame
    """By method, network and set of inputs; trunks are of the method `TRUNK`."""
    hours_in_all: float
    each_its_own: bool
    """Whether cells of a target differ in participants or settings, so that no table may be read across cells."""
    notes: tuple[str, ...]
    """What is to be said above every table."""
    refused: Mapping[str, str]
    """Targets that are in no table, for their models differ in what must be equal, and why."""
    untested: Mapping[str, str]
    """Targets whose models could not be tested against each other, and why."""

    @property
    def trunk_hours(self) -> float:
        """Return the hours of training imaging networks that models share and that are no models themselves."""
        return float(self.hours.filter(pl.col("method") == TRUNK)["hours"].sum())

    @property
    def counts(self) -> dict[str, int]:
        """Return how many models there are and how many are flagged; one that has several runs counts once.

        The constant baseline, which guesses by definition, is no news: its flags do not count.
        """
        models = _flags_of_models(self.results)
        flagged = models.filter(pl.col("network") != CONSTANT)
        return {
            "models": models.height,
            "predict_one_class": int(flagged["predicts_one_class"].sum()),
            "not_above_chance": int(flagged["not_above_chance"].sum()),
            "not_better_than_baseline": int(flagged["not_better"].sum()),
            "not_told_apart_from_baseline": int(flagged["not_told_apart"].sum()),
        }


def compare(
    scores: pl.DataFrame,
    reader: PredictionsReader | None,
    *,
    each_its_own: bool = False,
    trunks: pl.DataFrame | None = None,
) -> Comparison:
    """Compare many models.

    Parameters
    ----------
    scores
        In the columns `mmstudy.comparison.scores.SCORES`.
    reader
        Gives what the runs predicted; None of a table without runs, of which there are then no paired tests.
    each_its_own
        Let cells of a target differ in participants or settings. None is then tested against another, and a note
        says so.
    trunks
        Runs of imaging networks that models share and that are no models of a cell themselves: `TIMED`, of the method
        `TRUNK`.

    Raises
    ------
    TrainError
        Models of every target differ in participants or settings, and `each_its_own` is not given.
    """
    scores = with_one_class(scores)
    small = targets_with_small_cells(scores)
    contenders, incomplete, refused = find_contenders(scores), list[str](), dict[str, str]()
    if not each_its_own:
        contenders, incomplete = leave_incomplete_out(contenders)
        contenders, refused = _leave_differing_out(contenders)
    shown = scores.join(contenders.select(OF_CONTENDER), on=OF_CONTENDER, how="semi", maintain_order="left")
    tested, untested = ([], {}) if reader is None or each_its_own else _test_targets(contenders, reader)
    best = best_sets(contenders)
    optimism = [OPTIMISM.to_frame(), *(of.optimism for of in tested)]
    intervals = [INTERVALS.to_frame(), own_intervals(shown), *(of.intervals for of in tested)]
    effects, notes = domain_effects(contenders)
    notes += [*incomplete, *(f"{name} is in no table. {why}" for name, why in refused.items())]
    trunks = TIMED.to_frame() if trunks is None else trunks
    if trunk_hours := total_hours(trunks):
        notes.append(f"{duration(trunk_hours)} of the training are those of trunks, which models share.")
    if (best["chosen_on"] == "test").any():
        notes.insert(0, ON_TEST)
    if each_its_own:
        notes.insert(0, EACH_ITS_OWN)
    paired = with_q_values(pl.concat([PAIRED.to_frame(), *(of.paired for of in tested)]))
    results = shown
    for of_models in (pl.concat(intervals), baselines_as_good(contenders), baselines_not_told_apart(paired)):
        results = results.join(of_models, on=OF_CONTENDER, how="left", maintain_order="left")
    results = with_chance(results)
    best = best.join(pl.concat(optimism), on=("target", *SERIES), how="left", maintain_order="left")
    best = best.join(_flags_of_models(results), on=OF_CONTENDER, how="left", maintain_order="left")
    return Comparison(
        results=told_scores(results, small),
        best=coarse(best, small, pl.col("kind") == BINARY),
        paired=coarse(paired, small, pl.col("metric") == MAIN[BINARY]).with_columns(in_tens("num_participants")),
        effects=effects,
        hours=hours_by_set(pl.concat([scores.select(TIMED.names()), trunks])),
        hours_in_all=total_hours(scores) + trunk_hours,
        each_its_own=each_its_own,
        notes=tuple(notes),
        refused=refused,
        untested=untested,
    )


def _flags_of_models(results: pl.DataFrame) -> pl.DataFrame:
    """Return the flags of each model: those that one of its runs has."""
    return results.group_by(OF_CONTENDER, maintain_order=True).agg(pl.col(FLAG_NAMES).any())


def _leave_differing_out(contenders: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, str]]:
    """Leave targets out whose models differ in what must be equal, and say why; a table without runs does not say it.

    Raises
    ------
    TrainError
        That leaves none.
    """
    refused = dict[str, TrainError]()
    for target, of_target in _of_runs(contenders):
        try:
            require_same(of_target)
        except TrainError as error:
            refused[target] = error
    if refused and len(refused) == contenders["target"].n_unique():
        raise next(iter(refused.values()))
    return contenders.filter(~pl.col("target").is_in(list(refused))), {of: str(why) for of, why in refused.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tested:
    """What the test participants say of one target's models."""

    paired: pl.DataFrame
    optimism: pl.DataFrame
    intervals: pl.DataFrame
    """Of the scores of models of several runs."""


def _test_targets(contenders: pl.DataFrame, reader: PredictionsReader) -> tuple[list[_Tested], dict[str, str]]:
    """Return the tests of each target, and why others have none; several targets at once."""
    targets = dict(_of_runs(contenders))
    with ThreadPoolExecutor() as threads:
        found = list(threads.map(lambda of_target: _test(of_target, reader), targets.values()))
    tested = [of for of in found if isinstance(of, _Tested)]
    return tested, {target: of for target, of in zip(targets, found, strict=True) if isinstance(of, str)}


def _test(of_target: pl.DataFrame, reader: PredictionsReader) -> _Tested | str:
    try:
        contest = hold_contest(of_target, reader)
    except TrainError as error:
        return str(error)
    paired = compare_pairs(contest, find_pairs(contest.contenders.rows(named=True)))
    return _Tested(paired=paired, optimism=optimism_intervals(contest), intervals=mean_intervals(contest))


def _of_runs(contenders: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield each target with its contenders that are runs."""
    runs = contenders.filter(pl.col("method") != PUBLISHED)
    for (target,), of_target in runs.group_by("target", maintain_order=True):
        yield str(target), of_target
