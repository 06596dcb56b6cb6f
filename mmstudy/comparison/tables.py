"""A comparison in tables and lines for people, and as plain values for programs."""

from typing import Any

import polars as pl

from mmbase.plain_table import PlainTable, plain_table
from mmstudy.comparison.compare import Comparison
from mmstudy.comparison.families import FALSE_DISCOVERIES, FOUND
from mmstudy.comparison.flags import FLAGS
from mmstudy.results.published import inputs_in_words
from mmstudy.wording import duration


def comparison_lines(comparison: Comparison) -> list[Any]:
    """Return what is printed: the best sets, how many differences are found, and what to beware of."""
    counts = comparison.counts
    lines: list[Any] = [*told_notes(comparison), _best_table(comparison.best)]
    if counts["predict_one_class"]:
        lines.append(f"{counts['predict_one_class']} of {counts['models']} models predict one class alone.")
    if counts["not_above_chance"]:
        lines.append(f"{counts['not_above_chance']} of {counts['models']} models are not above chance.")
    if counts["not_better_than_baseline"]:
        lines.append(
            f"{counts['not_better_than_baseline']} networks are no better than the best baseline of their cell."
        )
    if counts["not_told_apart_from_baseline"]:
        lines.append(
            f"{counts['not_told_apart_from_baseline']} networks are not told apart from the best baseline of their "
            "cell."
        )
    if comparison.paired.height:
        lines.append(_found(comparison.paired))
    lines.append(f"{duration(comparison.hours_in_all)} of training in all.")
    return lines


def told_notes(comparison: Comparison) -> list[str]:
    """Return what is to be known of every table, and of targets that are missing in some."""
    return [
        *comparison.notes,
        *(f"Models of {name} are not tested against each other. {why}" for name, why in comparison.untested.items()),
    ]


def plain_comparison(comparison: Comparison) -> dict[str, Any]:
    """Return plain values for JSON."""
    frames = {name: getattr(comparison, name).to_dicts() for name in ("best", "paired", "effects", "hours")}
    return {
        **comparison.counts,
        "hours_in_all": comparison.hours_in_all,
        "notes": list(comparison.notes),
        "each_its_own": comparison.each_its_own,
        "refused": dict(comparison.refused),
        "untested": dict(comparison.untested),
        **frames,
    }


def _best_table(best: pl.DataFrame) -> PlainTable:
    rows = []
    for row in best.iter_rows(named=True):
        flags = ", ".join(flag.title for flag in FLAGS if row[flag.name])
        rows.append(
            (
                row["target"],
                " ".join(name for name in (row["method"], row["network"]) if name),
                inputs_in_words(row["inputs"], row["blocks"]),
                _number(row["score"]),
                row["chosen_on"],
                _number(row["optimism"]),
                flags,
            )
        )
    titles = ("target", "method", "best set of inputs", "test score", "chosen on", "optimism", "")
    return plain_table(
        titles, rows, whole=["target"], right=["test score", "optimism"], spared=["optimism", "chosen on"]
    )


def _found(paired: pl.DataFrame) -> str:
    """Say how many differences of each family are found."""
    told = []
    for (family,), pairs in paired.group_by("family", maintain_order=True):
        found = int(pairs["verdict"].is_in(FOUND).sum())
        told.append(f"{family}: {found} of {pairs.height}")
    return f"Tests that find a difference, at a false discovery rate of {FALSE_DISCOVERIES:.0%}: {'; '.join(told)}."


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
