"""By how much a study flatters itself that chooses its best models on the test set."""

from typing import TYPE_CHECKING

import polars as pl

from mmstudy.comparison.drawing.sheet import new_sheet
from mmtrain.drawing.figures import BLUE, ORANGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINE, _HEAD, _FOOT, _WIDTH, _LEFT, _RIGHT = 0.25, 0.75, 0.55, 7.2, 1.5, 0.3
"""In inches."""


def draw_optimism(best: pl.DataFrame, title: str) -> "Figure | None":
    """Draw, for each target, the test score of the set that validation chose and the best test score of all.

    None where the table has no validation scores.

    Parameters
    ----------
    best
        Of `mmstudy.comparison.compare.Comparison`, of one method and network.
    """
    known = best.drop_nulls(["score", "best_test_score", "optimism"])
    if known.is_empty():
        return None
    height = _HEAD + _LINE * known.height + _FOOT
    told = "test score of the set chosen on validation (filled), and the best test score of all sets (open)"
    with new_sheet(_WIDTH, height, title, told) as sheet:
        axes = sheet.axes(_LEFT, _FOOT, _WIDTH - _LEFT - _RIGHT, _LINE * known.height)
        for line, row in enumerate(known.iter_rows(named=True)):
            axes.plot((row["score"], row["best_test_score"]), (line, line), color=ORANGE, linewidth=1.4)
            axes.plot(row["best_test_score"], line, "o", color=ORANGE, markerfacecolor="white", markersize=5)
            axes.plot(row["score"], line, "o", color=BLUE, markersize=5)
        axes.set_yticks(range(known.height), known["target"].to_list())
        axes.set(ylim=(known.height - 0.4, -0.6), xlabel="R² of continuous targets, balanced accuracy of binary ones")
        axes.tick_params(length=2)
        axes.spines[["top", "right", "left"]].set_visible(False)
    return sheet.figure
