"""The best set of inputs of each target, by one method and network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from mmstudy.comparison.contenders import SERIES, Row

VALIDATION, TEST = "validation", "test"
_TOLD = ("target", "domain", "kind", "method", "network", "cell", "inputs", "blocks")
_SCORES = ("score", "val_score")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of some contenders is best."""

    index: int
    chosen_on: str
    """`VALIDATION`, or `TEST` where no contender has a validation score: then its test score is too good."""


def choose_best(contenders: Sequence[Row]) -> Choice | None:
    """Choose by the validation score, or by the test score where none has the former; None where neither is known.

    Of equals it is the one with the fewest inputs and groups of features, then the first by its cell's name.
    """
    for column, chosen_on in (("val_score", VALIDATION), ("score", TEST)):
        index = _largest(contenders, column)
        if index is not None:
            return Choice(index, chosen_on)
    return None


def best_sets(contenders: pl.DataFrame) -> pl.DataFrame:
    """Return the best set of each target by each method and network, and beside it the best on test.

    `optimism` is by how much the best test score is above that of the set that validation chose: what a study gains
    by choosing on test without having become any better. Null where the set was chosen on test.
    """
    groups = contenders.partition_by("target", *SERIES, maintain_order=True)
    rows = [row for of_target in groups if (row := _best_row(of_target.rows(named=True))) is not None]
    return pl.DataFrame(rows, schema=_best_schema(contenders), orient="row")


def _best_row(of_target: Sequence[Row]) -> dict[str, Any] | None:
    choice, on_test = choose_best(of_target), _largest(of_target, "score")
    if choice is None:
        return None
    chosen = of_target[choice.index]
    row = {name: chosen[name] for name in (*_TOLD, *_SCORES)}
    row |= {"chosen_on": choice.chosen_on, "num_sets": len(of_target)}
    if on_test is None:
        return {**row, "best_on_test": None, "best_test_score": None, "optimism": None}
    best_score = of_target[on_test]["score"]
    is_known = choice.chosen_on == VALIDATION and chosen["score"] is not None
    return {
        **row,
        "best_on_test": of_target[on_test]["cell"],
        "best_test_score": best_score,
        "optimism": best_score - chosen["score"] if is_known else None,
    }


def _best_schema(contenders: pl.DataFrame) -> dict[str, pl.DataType | type[pl.DataType]]:
    return {
        **{name: contenders.schema[name] for name in (*_TOLD, *_SCORES)},
        "chosen_on": pl.String,
        "num_sets": pl.Int64,
        "best_on_test": pl.String,
        **dict.fromkeys(("best_test_score", "optimism"), pl.Float64),
    }


def _largest(contenders: Sequence[Row], column: str) -> int | None:
    """Return the index of the largest number; None where none is known."""
    known = [index for index, row in enumerate(contenders) if row[column] is not None]

    def place(index: int) -> tuple[float, int, str]:
        row = contenders[index]
        return -row[column], len(row["inputs"]) + len(row["blocks"]), row["cell"]

    return min(known, key=place, default=None)
