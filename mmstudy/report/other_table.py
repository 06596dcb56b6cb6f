"""A table in the published columns that a report sets beside its own models.

Such a table names no participants and has no validation scores, settings or predictions. Its losses tell something of
its settings all the same. Of models that are trained alike, a lower loss goes with better decisions. Where all models
with imaging have lower losses than those without, and decide worse, the two were not trained on the same shares of
classes: a network that knows little has a loss near ln 2 = 0.69 after training on balanced classes, and a lower one
after training on classes as frequent as they are, where it calls nearly everybody the same.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from catalog.fields import Dictionary
from mmbase.names import METADATA
from mmstudy.comparison.contributions import BINARY
from mmstudy.comparison.flags import with_one_class
from mmstudy.comparison.published_table import read_published
from mmtrain.errors import TrainError

_APART = 0.01
"""In nats: losses of two groups of models that are nearer to each other are not told apart."""
_FEWEST = 2
"""Models of a group: one alone may have its loss by chance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherTable:
    """The table, as far as it can be known."""

    name: str
    """Of its file."""
    scores: pl.DataFrame
    """`mmstudy.comparison.scores.SCORES`, with models that predict one class marked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnlikeBalance:
    """Losses that say that models of one target were trained on other shares of classes than its others."""

    lowest_without_imaging: float
    highest_with_imaging: float


def read_other_table(path: Path, dictionary: Dictionary, targets: Collection[str]) -> OtherTable:
    """Read a table that is to stand beside models of some targets.

    Parameters
    ----------
    dictionary
        By which the table's targets are called as the report's are.
    targets
        Of the report.

    Raises
    ------
    TrainError
        It cannot be read as a table in the published columns, or has none of the targets.
    """
    scores = with_one_class(read_published(path, dictionary))
    there = scores["target"].unique(maintain_order=True).to_list()
    if not set(there) & set(targets):
        raise TrainError(
            f"{path.name} has no target of this report. It has {', '.join(there) or 'none'}; the report has "
            f"{', '.join(targets)}.",
            "Give a table in the published columns that has one of them.",
        )
    return OtherTable(name=path.name, scores=scores)


def find_unlike_balance(scores: pl.DataFrame) -> dict[str, UnlikeBalance]:
    """Return the binary targets of which models with and without imaging saw other shares of classes.

    Parameters
    ----------
    scores
        `mmstudy.comparison.scores.SCORES`.
    """
    known = scores.filter(pl.col("kind") == BINARY, pl.col("loss").is_finite())
    known = known.with_columns(has_imaging=pl.col("inputs").list.set_difference([METADATA]).list.len() > 0)
    groups = known.group_by("target", "has_imaging").agg(
        num=pl.len(), low=pl.col("loss").min(), high=pl.col("loss").max(), decides=pl.col("balanced_accuracy").mean()
    )
    without, having = groups.filter(~pl.col("has_imaging")), groups.filter(pl.col("has_imaging"))
    pairs = without.join(having, on="target", suffix="_having").filter(
        pl.min_horizontal("num", "num_having") >= _FEWEST,
        pl.col("low") - pl.col("high_having") >= _APART,
        pl.col("decides") > pl.col("decides_having"),
    )
    return {
        target: UnlikeBalance(lowest_without_imaging=low, highest_with_imaging=high)
        for target, low, high in pairs.sort("target").select("target", "low", "high_having").iter_rows()
    }
