"""The best set of inputs of each target, by one method and network."""

from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from mmstudy.comparison.contenders import SERIES

VALIDATION, TEST = "validation", "test"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of some contenders is best."""

    index: int
    """Its row."""
    chosen_on: Literal["validation", "test"]
    """test: no contender has a validation score, so its test score is too good."""


def choose_best(contenders: pl.DataFrame) -> Choice | None:
    """Choose by the validation score, or by the test score where none has the former; None where neither is known.

    Of equals it is the one with the fewest inputs and groups of features, then the first by its cell's name.
    """
    for column, chosen_on in (("val_score", VALIDATION), ("score", TEST)):
        if contenders[column].null_count() < contenders.height:
            return Choice(_largest(contenders, column), chosen_on)  # type: ignore[arg-type]
    return None


def best_sets(contenders: pl.DataFrame) -> pl.DataFrame:
    """Return the best set of each target by each method and network, and beside it the best on test.

    `optimism` is by how much the best test score is above that of the set that validation chose: what a study gains
    by choosing on test without having become any better. Null where the set was chosen on test.
    """
    rows = [
        row
        for _, of_target in contenders.group_by("target", *SERIES, maintain_order=True)
        if (row := _best_row(of_target)) is not None
    ]
    return pl.DataFrame(rows, schema=_best_schema(contenders), orient="row")


def _best_row(of_target: pl.DataFrame) -> dict[str, Any] | None:
    choice = choose_best(of_target)
    if choice is None:
        return None
    chosen = of_target.row(choice.index, named=True)
    told = {name: chosen[name] for name in (*_TOLD, *_SCORES)}
    row = {**told, "chosen_on": choice.chosen_on, "num_sets": of_target.height}
    if of_target["score"].null_count() == of_target.height:
        return {**row, "best_on_test": None, "best_test_score": None, "optimism": None}
    on_test = of_target.row(_largest(of_target, "score"), named=True)
    is_known = choice.chosen_on == VALIDATION and chosen["score"] is not None
    return {
        **row,
        "best_on_test": on_test["cell"],
        "best_test_score": on_test["score"],
        "optimism": on_test["score"] - chosen["score"] if is_known else None,
    }


_TOLD = ("target", "domain", "kind", "method", "network", "cell", "inputs", "blocks")
_SCORES = ("score", "val_score", "predicts_one_class")


def _best_schema(contenders: pl.DataFrame) -> dict[str, pl.DataType | type[pl.DataType]]:
    return {
        **{name: contenders.schema[name] for name in (*_TOLD, *_SCORES)},
        **dict.fromkeys(("chosen_on", "best_on_test"), pl.String),
        "num_sets": pl.Int64,
        **dict.fromkeys(("best_test_score", "optimism"), pl.Float64),
    }


def _largest(contenders: pl.DataFrame, column: str) -> int:
    size = pl.col("inputs").list.len() + pl.col("blocks").list.len()
    ordered = contenders.with_row_index("place").sort(
        pl.col(column), size, "cell", descending=[True, False, False], nulls_last=True
    )
    return int(ordered["place"][0])
