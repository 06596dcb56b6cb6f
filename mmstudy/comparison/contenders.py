"""What is compared: models of one cell by one method and network, their scores averaged over seeds and folds.

Terms
-----
contender    a cell, a method and a network; one run, or one for each seed and fold.
series       all contenders of one method and network.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import polars as pl

from mmtrain.errors import TrainError

Row: TypeAlias = Mapping[str, Any]
"""A contender, by the columns of `find_contenders`."""
OF_CONTENDER = ("target", "cell", "method", "network")
SERIES = ("method", "network")
CONSTANT = "constant"
"""The network that predicts the same whatever it is given: its sets are not compared."""
_SAME = ("domain", "kind", "inputs", "blocks")
_AVERAGED = ("score", "val_score", "balanced_accuracy", "r2", "minutes")
_MADE_EQUAL = {
    "participants": "use other participants, or use them for other splits",
    "regime": "were trained by other settings than those that are compared",
}
_WHAT_TO_DO = (
    "Train them again as one sweep, which gives all cells of a target the same participants and settings, "
    "or compare some of them alone (--method)."
)
_NAMED = 3


def find_contenders(scores: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each contender, in the order of the table.

    Numbers that are not finite count as not known, and means are of those that are known.
    """
    return (
        scores.with_columns(pl.col(*_AVERAGED).replace([float("nan"), float("inf"), float("-inf")], None))
        .group_by(OF_CONTENDER, maintain_order=True)
        .agg(
            pl.col(*_SAME).first(),
            pl.col(*_AVERAGED).mean(),
            pl.len().alias("num_runs"),
            pl.col("run_id", "seed", "split", "participants", "regime", "augmentation"),
        )
    )


def leave_incomplete_out(contenders: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Return the contenders that have a run of every seed and fold that others of their target have, and who has not.

    The mean over fewer seeds or folds is another quantity: a fold may be harder than the others.
    """
    kept, notes = [contenders.clear()], []
    for (target,), of_target in contenders.group_by("target", maintain_order=True):
        runs = [frozenset(zip(*of, strict=True)) for of in of_target[["seed", "split"]].iter_rows()]
        expected = frozenset().union(*runs)
        is_whole = [own == expected for own in runs]
        kept.append(of_target.filter(is_whole))
        if number := is_whole.count(False):
            notes.append(f"{number} models of {target} are left out: they are not finished with every seed and fold.")
    return pl.concat(kept), notes


def require_same(contenders: pl.DataFrame) -> None:
    """Refuse contenders of one target that differ in what must be equal: participants, settings, and augmentation.

    Methods differ in augmentation by what they are; within one method and network it must be the same of all that
    have volumes.

    Raises
    ------
    TrainError
        They differ, or it is not known of one of them; the message says in what.
    """
    for column, differ in _MADE_EQUAL.items():
        if contenders[column].list.contains(None).any():
            raise TrainError(
                f"Models of {contenders['target'][0]} are of an older mm, which did not keep what must be equal of "
                f"models that are compared ({column}).",
                "Train them again, or leave them out (--target).",
            )
        _require_equal(contenders, column, differ)
    for _, series in contenders.group_by(SERIES, maintain_order=True):
        augmented = series.filter(pl.col("augmentation").list.drop_nulls().list.len() > 0)
        _require_equal(augmented, "augmentation", "had their volumes augmented in another way")


def _require_equal(contenders: pl.DataFrame, column: str, differ: str) -> None:
    kept = [frozenset(of_contender) for of_contender in contenders[column]]
    usual = Counter(kept).most_common(1)
    others = [cell for cell, own in zip(contenders["cell"], kept, strict=True) if own != usual[0][0]]
    if others:
        raise TrainError(
            f"Models of {contenders['target'][0]} cannot be compared: {_named(others)} {differ}, out of {len(kept)} "
            "models.",
            _WHAT_TO_DO,
        )


def _named(cells: Iterable[str]) -> str:
    names = list(dict.fromkeys(cells))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def in_groups(contenders: Iterable[Row], *by: str) -> dict[tuple[Any, ...], list[int]]:
    """Return the indices of contenders that are the same in some columns, by what they have there."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, row in enumerate(contenders):
        groups.setdefault(tuple(row[name] for name in by), []).append(index)
    return groups
