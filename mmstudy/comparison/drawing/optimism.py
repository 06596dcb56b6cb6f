"""By how much a study flatters itself that chooses its best models on the test set."""

import matplotlib as mpl
import polars as pl
from matplotlib.figure import Figure

from mmtrain.drawing.figures import BLUE, GREY, INK, ORANGE

_LINE, _HEAD, _FOOT, _WIDTH, _LEFT = 0.25, 0.75, 0.55, 7.2, 1.5
"""In inches."""


def draw_optimism(best: pl.DataFrame, title: str) -> Figure | None:
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
    figure = Figure(figsize=(_WIDTH, height), dpi=150, facecolor="white")
    with mpl.rc_context({"font.size": 8, "svg.fonttype": "none", "svg.hashsalt": "mm"}):
        figure.text(0.15 / _WIDTH, 1 - 0.26 / height, title, fontsize=11, weight="bold", color=INK)
        told = "test score of the set chosen on validation (filled), and the best test score of all sets (open)"
        figure.text(0.15 / _WIDTH, 1 - 0.48 / height, told, fontsize=8, color=GREY)
        place = (_LEFT / _WIDTH, _FOOT / height, 1 - (_LEFT + 0.3) / _WIDTH, _LINE * known.height / height)
        axes = figure.add_axes(place)
        for line, row in enumerate(known.iter_rows(named=True)):
            axes.plot((row["score"], row["best_test_score"]), (line, line), color=ORANGE, linewidth=1.4)
            axes.plot(row["best_test_score"], line, "o", color=ORANGE, markerfacecolor="white", markersize=5)
            axes.plot(row["score"], line, "o", color=BLUE, markersize=5)
        axes.set_yticks(range(known.height), known["target"].to_list())
        axes.set(ylim=(known.height - 0.4, -0.6), xlabel="R² of continuous targets, balanced accuracy of binary ones")
        axes.tick_params(length=2)
        axes.spines[["top", "right", "left"]].set_visible(False)
    return figure
