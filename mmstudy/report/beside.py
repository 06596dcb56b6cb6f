"""Another table's scores beside those of a report's own models, where target and set of inputs are the same.

Terms
-----
here, there    the models of the report, and those of the other table.
cell           a target and a set of inputs.
compared       a cell that has a score here and there, of a target that is of the same kind in both.
difference     the score here less the score there, as both are told: R² of a continuous target, balanced accuracy of a
               binary one. Without predictions of both on the same participants no test of it is possible.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import polars as pl

from mmstudy.comparison.best import best_sets
from mmstudy.comparison.contenders import find_contenders
from mmstudy.comparison.contributions import MAIN_TITLES
from mmstudy.comparison.drawing.sets import elements_in_order, title_of
from mmstudy.comparison.elements import Elements, elements_of
from mmstudy.report.beside_cautions import Settings, cautions_of, cautions_of_target
from mmstudy.report.models import Columns, counted, shortened
from mmstudy.report.names import Names
from mmstudy.report.other_table import OtherTable
from mmstudy.sweep.grid import InputSet

CellKey: TypeAlias = tuple[str, Elements]
_NOT_THERE = "the target is in one alone"
_OTHER_KIND = "the target is continuous in one and binary in the other"
_OTHER_SETS = "the target is in both, the set of inputs in one alone"
_NO_SCORE = "a score is not known"
_REASONS = (_NOT_THERE, _OTHER_KIND, _OTHER_SETS, _NO_SCORE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """What stands beside the models of a report."""

    table: OtherTable
    settings: Settings
    """Run of the report to its settings; nothing of a report that is made of a table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _There:
    """A cell of the other table."""

    kind: str
    score: float | None
    predicts_one_class: bool | None
    num_models: int
    """Whose mean the score is."""


def beside_content(
    beside: Beside, results: pl.DataFrame, names: Names, models: Columns, best: Columns
) -> Mapping[str, Any]:
    """Return what is shown of another table.

    Parameters
    ----------
    results
        Of `mmstudy.comparison.compare.Comparison`.
    models, best
        Of the report: their scores are told already, and no difference tells more of them.
    """
    there = _cells_there(beside.table.scores)
    cells = _cell_columns(there, names, models)
    return {
        "name": beside.table.name,
        "cells": cells,
        "series": _series_columns(cells, names, models, beside.table.name),
        "targets": _target_columns(beside, cells, results, names, models),
        "cautions": list(cautions_of(beside.table, best, _kinds_of(cells, names, models))),
        "unmatched": _unmatched_columns(there, names, models),
    }


def _cells_there(scores: pl.DataFrame) -> dict[CellKey, _There]:
    known = pl.col("score").filter(pl.col("score").is_finite())
    cells = scores.group_by("target", "cell", maintain_order=True).agg(
        pl.col("kind", "inputs", "blocks").first(),
        known.mean(),
        pl.col("predicts_one_class").any(),
        known.len().alias("num_models"),
    )
    return {
        (row["target"], elements_of(row["inputs"], row["blocks"])): _There(
            kind=row["kind"],
            score=shortened(row["score"]),
            predicts_one_class=row["predicts_one_class"],
            num_models=row["num_models"],
        )
        for row in cells.iter_rows(named=True)
    }


def _cell_columns(there: Mapping[CellKey, _There], names: Names, models: Columns) -> Columns:
    """Return a row for each model of the report whose cell is compared."""
    found = []
    for model, (key, score) in enumerate(zip(_keys(names, models), models["score"], strict=True)):
        other = there.get(key)
        if other is None or other.kind != names.targets[key[0]].kind or score is None or other.score is None:
            continue
        difference = shortened(score - other.score)
        found.append((model, other.score, difference, other.predicts_one_class, other.num_models))
    columns = ("model", "score", "difference", "predicts_one_class", "num_models")
    return {name: [row[place] for row in found] for place, name in enumerate(columns)}


def _series_columns(cells: Columns, names: Names, models: Columns, table: str) -> Columns:
    """Return for each series how many cells are compared, how they differ, and that as a sentence."""
    found = []
    for series, title in enumerate(names.series.values()):
        rows = [row for row, model in enumerate(cells["model"]) if models["series"][model] == series]
        targets = [models["target"][cells["model"][row]] for row in rows]
        higher, lower = _signs(cells, rows)
        told = f"No model of {title} has one beside it in {table}."
        if rows:
            means = "".join(_mean_sentences(cells, rows, targets, names))
            told = (
                f"Compared with {table} ({title} here): {counted(len(rows), 'cell')} of "
                f"{counted(len(set(targets)), 'target')}. The score here is higher in {higher:,}, lower in {lower:,} "
                f"and equal in {len(rows) - higher - lower:,}.{means}"
            )
        found.append((series, len(rows), len(set(targets)), higher, lower, told))
    columns = ("series", "num_cells", "num_targets", "higher", "lower", "told")
    return {name: [row[place] for row in found] for place, name in enumerate(columns)}


def _mean_sentences(cells: Columns, rows: Sequence[int], targets: Sequence[int], names: Names) -> Iterator[str]:
    """Say the mean difference of each kind of target: those of R² and of balanced accuracy have no common mean."""
    kinds = [of.kind for of in names.targets.values()]
    for kind, metric in MAIN_TITLES.items():
        of_kind = [row for row, target in zip(rows, targets, strict=True) if kinds[target] == kind]
        if of_kind:
            yield f" Mean difference of {metric}: {_signed(_mean(cells, of_kind))} ({counted(len(of_kind), 'cell')})."


def _target_columns(beside: Beside, cells: Columns, results: pl.DataFrame, names: Names, models: Columns) -> Columns:
    """Return for each series and target that has compared cells how they differ, and in what the two differ."""
    best = {row["target"]: row for row in best_sets(find_contenders(beside.table.scores)).iter_rows(named=True)}
    series, targets = list(names.series), list(names.targets)
    found = []
    for (of, target), rows in _by_series_and_target(cells, models).items():
        name, (method, network) = targets[target], series[of]
        own = results.filter(pl.col("target") == name, pl.col("method") == method, pl.col("network") == network)
        other = best[name]
        one_class = sum(bool(cells["predicts_one_class"][row]) for row in rows)
        cautions = cautions_of_target(own, beside.settings, beside.table.scores.filter(pl.col("target") == name))
        higher, lower = _signs(cells, rows)
        numbers = (len(rows), higher, lower, shortened(_mean(cells, rows)), one_class)
        found.append((of, target, *numbers, shortened(other["score"]), _set_title(other), list(cautions)))
    columns = (
        *("series", "target", "num_cells", "higher", "lower", "mean_difference", "one_class"),
        *("best_score", "best_set", "cautions"),
    )
    return {name: [row[place] for row in found] for place, name in enumerate(columns)}


def _by_series_and_target(cells: Columns, models: Columns) -> dict[tuple[int, int], list[int]]:
    """Return the rows of cells by the series and target of their models."""
    groups: dict[tuple[int, int], list[int]] = {}
    for row, model in enumerate(cells["model"]):
        groups.setdefault((models["series"][model], models["target"][model]), []).append(row)
    return dict(sorted(groups.items()))


def _unmatched_columns(there: Mapping[CellKey, _There], names: Names, models: Columns) -> Columns:
    """Return how many cells here and there are not compared, why, and of which targets."""
    kinds_there = {target: of.kind for (target, _), of in there.items()}
    scores_here: dict[CellKey, float | None] = {}
    for key, score in zip(_keys(names, models), models["score"], strict=True):
        if scores_here.get(key) is None:  # of several series, one that has a score
            scores_here[key] = score
    kinds_here = {name: of.kind for name, of in names.targets.items()}
    scores_there = {key: of.score for key, of in there.items()}
    here = _reasons(scores_here, scores_there, kinds_here, kinds_there)
    beyond = _reasons(scores_there, scores_here, kinds_there, kinds_here)
    reasons = [reason for reason in _REASONS if here[reason] or beyond[reason]]
    return {
        "reason": reasons,
        "here": [len(here[reason]) for reason in reasons],
        "there": [len(beyond[reason]) for reason in reasons],
        "targets": [list(dict.fromkeys((*here[reason], *beyond[reason]))) for reason in reasons],
    }


def _reasons(
    own: Mapping[CellKey, float | None],
    other: Mapping[CellKey, float | None],
    own_kinds: Mapping[str, str],
    other_kinds: Mapping[str, str],
) -> dict[str, list[str]]:
    """Return the targets of cells that are not compared, a name for each cell, by the reason."""
    found: dict[str, list[str]] = {reason: [] for reason in _REASONS}
    for key, score in own.items():
        target = key[0]
        if target not in other_kinds:
            found[_NOT_THERE].append(target)
        elif own_kinds[target] != other_kinds[target]:
            found[_OTHER_KIND].append(target)
        elif key not in other:
            found[_OTHER_SETS].append(target)
        elif score is None or other[key] is None:
            found[_NO_SCORE].append(target)
    return found


def _keys(names: Names, models: Columns) -> list[CellKey]:
    targets = list(names.targets)
    pairs = zip(models["target"], models["set"], strict=True)
    return [(targets[target], names.sets[of]) for target, of in pairs]


def _kinds_of(cells: Columns, names: Names, models: Columns) -> set[str]:
    kinds = [of.kind for of in names.targets.values()]
    return {kinds[models["target"][model]] for model in cells["model"]}


def _signs(cells: Columns, rows: Iterable[int]) -> tuple[int, int]:
    """Return how many differences are above 0, and how many below."""
    differences = [cells["difference"][row] for row in rows]
    return sum(of > 0 for of in differences), sum(of < 0 for of in differences)


def _mean(cells: Columns, rows: Sequence[int]) -> float:
    return float(sum(cells["difference"][row] for row in rows)) / len(rows)


def _signed(value: float) -> str:
    """Return a number as the page writes it.

    >>> _signed(0.0123), _signed(-0.5), _signed(-0.0001)
    ('+0.012', '−0.500', '0.000')
    """
    text = f"{value:+.3f}"
    return text.replace("-", "−") if float(text) else text[1:]


def _set_title(row: Mapping[str, Any]) -> str:
    elements = elements_in_order([InputSet(tuple(row["inputs"]), tuple(row["blocks"]))])
    return " + ".join(map(title_of, elements))
