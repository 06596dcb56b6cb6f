"""Predicted against true values of a continuous target."""

from typing import Any

import numpy as np

from mmtrain.aggregates.value_bins import LEVELS, Axis, Density, TruthBin, bin_truth, find_axis, find_density
from mmtrain.drawing.figures import BLUE, BROWN, DASHED, GREY, ORANGE, Picture, new_figure, new_note
from mmtrain.metrics.predicted import Predicted

SHADES = ("#d6e4f3", "#abcbe8", "#79acd9", "#4a8bc6", "#2f6cae", "#17467c", "#0c2c52")
"""Of `LEVELS`: lighter is fewer, in grey too."""
HEADING = "Prediction against truth"
TOO_FEW = "Not shown: fewer than ten participants,\nof whom nothing may be told."


def draw_values(predicted: Predicted, title: str, *, exact: bool) -> Picture:
    """Draw the test split: its density where that can be told, mean predictions along the truth, and two lines."""
    bins, density = bin_truth(predicted), find_density(predicted)
    if not bins and not exact:
        return Picture(figure=new_note(TOO_FEW), heading=HEADING, caption="", description=TOO_FEW.replace("\n", " "))
    figure, axes = new_figure()
    axis = find_axis(np.concatenate([predicted.truth, predicted.prediction]), predicted.num_participants)
    if exact:
        axes.scatter(predicted.truth, predicted.prediction, s=10, color=BLUE, alpha=0.45, linewidths=0)
    elif density is not None:
        _shade(figure, axes, density)
    axes.plot([axis.low, axis.high], [axis.low, axis.high], color=GREY, linestyle=DASHED, linewidth=1, label="identity")
    slope, intercept = fit_line(predicted)
    ends = np.array([axis.low, axis.high])
    axes.plot(ends, slope * ends + intercept, color=ORANGE, linewidth=1.6, label="fit")
    _mark_bins(axes, bins)
    if not exact:
        axes.set(xlim=(axis.low, axis.high), ylim=(axis.low, axis.high))
    axes.set(xlabel=f"true {title}", ylabel=f"predicted {title}", aspect="equal")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return Picture(
        figure=figure,
        heading=HEADING,
        caption=_caption(density, axis, exact=exact),
        description=f"Predicted against true {title}: the fitted line has slope {slope:.2f} and intercept "
        f"{intercept:.3g}. " + " ".join(map(_told, bins)),
    )


def fit_line(predicted: Predicted) -> tuple[float, float]:
    """Return slope and intercept of the prediction on the truth; a flat line where the truth does not vary."""
    if np.std(predicted.truth) == 0:
        return 0.0, float(predicted.prediction.mean())
    slope, intercept = np.polyfit(predicted.truth, predicted.prediction, 1)
    return float(slope), float(intercept)


def _shade(figure: Any, axes: Any, density: Density) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    norm, colours = BoundaryNorm(np.arange(len(LEVELS) + 1) - 0.5, len(LEVELS)), ListedColormap(SHADES)
    shown = np.ma.masked_less(density.levels, 0)
    axes.pcolormesh(density.edges, density.edges, shown.T, cmap=colours, norm=norm, edgecolors="none")
    used = int(density.levels.max()) + 1
    few = ListedColormap(SHADES[:used])
    bar = figure.colorbar(ScalarMappable(BoundaryNorm(np.arange(used + 1), used), few), ax=axes, shrink=0.7, pad=0.02)
    bar.set_ticks(np.arange(used), labels=[f"{least:,}" for least in LEVELS[:used]])
    bar.set_label("participants, at least", fontsize=8)
    bar.ax.tick_params(labelsize=8, length=0)
    bar.outline.set_linewidth(0.4)


def _mark_bins(axes: Any, bins: list[TruthBin]) -> None:
    centres = [(part.low + part.high) / 2 for part in bins]
    means, spreads = [part.mean_prediction for part in bins], [part.spread for part in bins]
    axes.errorbar(
        centres, means, spreads, fmt="o", markersize=4, color=BROWN, elinewidth=1, markerfacecolor="white", zorder=5,
        label="mean ± SD",
    )  # fmt: skip


def _caption(density: Density | None, axis: Axis, *, exact: bool) -> str:
    along = "Circles are mean predictions of those with a true value in one bin, bars their standard deviation."
    if exact:
        return f"Each point is a sample. {along}"
    where = f"Axes span the bulk of the values, {axis.low:g} to {axis.high:g}, rounded."
    if density is None:
        return f"{along} {where} No density is shown: too few participants to have ten in most of its cells."
    return f"Shades are how many participants lie in a cell; cells of fewer than ten are left blank. {along} {where}"


def _told(part: TruthBin) -> str:
    return f"True {part.low:g} to {part.high:g}: mean prediction {part.mean_prediction:g}, SD {part.spread:g}."
