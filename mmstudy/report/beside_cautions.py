"""What is to be known before a score of a report is read against one of another table: in what the two may differ.

What is said is what can be known. A table in the published columns tells neither who was tested nor how models were
trained, so most sentences say what is known here, and that it is not known there.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeAlias

import polars as pl

from mmstudy.comparison.best import VALIDATION
from mmstudy.comparison.contributions import BINARY, CONTINUOUS
from mmstudy.report.models import Columns, counted
from mmstudy.report.other_table import OtherTable, find_unlike_balance

Settings: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Run to its settings by name."""
_STUDY_SPLIT = "study"
_BALANCE = {
    "undersample": "balanced by undersampling",
    "weight": "balanced by weights of the loss",
    "none": "left as frequent as they are",
}


def cautions_of(table: OtherTable, best: Columns, kinds: Collection[str]) -> Iterator[str]:
    """Yield what holds for the whole table, the gravest first.

    Parameters
    ----------
    best
        Of the report.
    kinds
        Of targets that have compared cells.
    """
    yield (
        f"{table.name} does not say who was tested. As far as is known these are other participants than here, another "
        "cohort with another split: a difference may come from the people alone."
    )
    yield (
        "No difference is tested, and none has an interval: that needs predictions of both models on the same "
        "participants. Which of two scores is larger may be chance."
    )
    yield from _of_choice(best)
    yield (
        f"{table.name} does not say how its models were trained and judged: balance of classes, loss, augmentation and "
        "the threshold of decisions are not known."
    )
    if BINARY in kinds:
        yield from _of_binary(table.scores)
    if CONTINUOUS in kinds:
        yield (
            "R² also depends on how widely a target is spread among the people who are tested, and on whether their "
            "labels were clamped (the published trainer clamps them)."
        )
    yield (
        "Targets and inputs are matched by their names. How scans were processed, and which features a group of "
        "features holds, may differ."
    )
    yield from _of_means(table.scores)


def cautions_of_target(own: pl.DataFrame, settings: Settings, other: pl.DataFrame) -> Iterator[str]:
    """Yield in what the models of one target differ, as far as it can be known.

    Parameters
    ----------
    own
        Models of the report by one series: results of `mmstudy.comparison.compare.Comparison`.
    other
        `mmstudy.comparison.scores.SCORES` of the same target.
    """
    yield from _of_people(own)
    used = [settings[run_id] for run_id in own["run_id"].drop_nulls() if run_id in settings]
    if other["kind"][0] == CONTINUOUS:
        if any(of.get("clamp_labels") for of in used):
            yield "Here labels of test participants are clamped to the training percentiles."
        return
    balances = dict.fromkeys(str(of["balance"]) for of in used if "balance" in of)
    if balances:
        told = " or ".join(_BALANCE.get(name, name) for name in balances)
        yield f"Here classes are {told} in training; how it was there is not told."
    for unlike in find_unlike_balance(other).values():
        yield (
            f"There, models with imaging have losses of {unlike.highest_with_imaging:.2f} and less, those without of "
            f"{unlike.lowest_without_imaging:.2f} and more, and yet the former decide worse: as far as that tells, "
            "classes were balanced for the latter alone."
        )


def _of_choice(best: Columns) -> Iterator[str]:
    if set(best["chosen_on"]) == {VALIDATION}:
        yield (
            "The best sets there are chosen on the test scores that are shown, which are therefore too good; here they "
            "are chosen on validation."
        )
    else:
        yield "Best sets are chosen on the test scores that are shown, which are therefore too good."


def _of_binary(scores: pl.DataFrame) -> Iterator[str]:
    unlike = find_unlike_balance(scores)
    if unlike:
        yield (
            f"Of {counted(len(unlike), 'target')} ({', '.join(unlike)}) models there without imaging were trained on "
            "balanced classes, and those with imaging, or most of them, were not, as far as their losses tell: which "
            "inputs are best there may come from that."
        )
    binary = scores.filter(pl.col("kind") == BINARY)
    if number := int(binary["predicts_one_class"].sum()):
        yield (
            f"{number:,} of {binary.height:,} models of binary targets there predict one class alone: a higher score "
            "than theirs says little."
        )


def _of_means(scores: pl.DataFrame) -> Iterator[str]:
    known = scores.filter(pl.col("score").is_finite())
    several = known.group_by("target", "cell").len().filter(pl.col("len") > 1).height
    if several:
        yield (
            f"Of {counted(several, 'cell')} there the table has several models, which it does not tell apart: their "
            "mean is shown."
        )


def _of_people(own: pl.DataFrame) -> Iterator[str]:
    numbers = own["n_test"].drop_nulls().unique().sort().to_list()
    if numbers:
        told = f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"
        yield f"Tested on {told} samples here (in tens), on an unknown number there."
    folds = own["split"].drop_nulls().n_unique()
    if folds > 1:
        yield f"The score here is a mean over {folds} folds."
    elif (own["split"] != _STUDY_SPLIT).any():
        yield f"The split here is {own['split'].drop_nulls()[0]}."
    seeds = own["seed"].drop_nulls().n_unique()
    if seeds > 1:
        yield f"The score here is a mean over {seeds} seeds."
