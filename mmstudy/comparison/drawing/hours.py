"""How long models of each set of inputs were trained: every run a point, means with intervals, and total hours."""

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.figure import Figure
from scipy.stats import t as student

from mmbase.names import METADATA
from mmstudy.comparison.drawing.sets import SetOfInputs, draw_sets, elements_in_order, sort_sets
from mmstudy.comparison.totals import each_run_once
from mmtrain.drawing.figures import BLUE, GREY, INK, ORANGE

_COLUMN, _LEFT, _RIGHT, _HEAD, _POINTS, _BARS, _LINE = 0.24, 1.3, 0.3, 0.7, 2.4, 1.0, 0.19
"""In inches."""
_SPREAD = 0.3
"""Of points beside each other, in columns."""
_COVERAGE = 0.95
_MINUTES = 60


def draw_hours(results: pl.DataFrame, title: str) -> Figure | None:
    """Draw the training times of one method and network; None where no run says how long it took.

    Groups of tabular features cost nothing beside volumes, so sets are told apart by volumes, connectivity and whether
    there is metadata.
    """
    timed = each_run_once(results).filter(pl.col("minutes").is_not_null())
    by_set: dict[SetOfInputs, list[float]] = {}
    for inputs, minutes in timed.select("inputs", "minutes").iter_rows():
        blocks = ("tabular",) if METADATA in inputs else ()
        by_set.setdefault(SetOfInputs(tuple(inputs), blocks), []).append(minutes)
    if not by_set:
        return None
    sets = sort_sets(list(by_set))
    lines = _LINE * len(elements_in_order(sets))
    wide = _COLUMN * len(sets)
    width, height = max(6.4, _LEFT + wide + _RIGHT), _HEAD + _POINTS + 0.3 + _BARS + 0.12 + lines + 0.1
    wide = width - _LEFT - _RIGHT
    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")
    with mpl.rc_context({"font.size": 8, "svg.fonttype": "none", "svg.hashsalt": "mm"}):
        figure.text(0.15 / width, 1 - 0.26 / height, title, fontsize=11, weight="bold", color=INK)
        total = sum(map(sum, by_set.values())) / _MINUTES
        told = f"points: models; bars: means with 95 % intervals; {total:,.1f} hours in all"
        figure.text(0.15 / width, 1 - 0.48 / height, told, fontsize=8, color=GREY)
        place = (_LEFT / width, (height - _HEAD - _POINTS) / height, wide / width, _POINTS / height)
        _draw_points(figure.add_axes(place), [by_set[of] for of in sets])
        place = (_LEFT / width, (lines + 0.22) / height, wide / width, _BARS / height)
        _draw_totals(figure.add_axes(place), [sum(by_set[of]) / _MINUTES for of in sets])
        below = figure.add_axes((_LEFT / width, 0.1 / height, wide / width, lines / height))
        draw_sets(below, sets)
    return figure


def _draw_points(axes: mpl.axes.Axes, minutes: list[list[float]]) -> None:
    for column, values in enumerate(minutes):
        places = column + np.linspace(-_SPREAD, _SPREAD, len(values)) if len(values) > 1 else [column]
        axes.plot(places, sorted(values), ".", color=BLUE, alpha=0.45, markersize=3)
        mean = float(np.mean(values))
        axes.plot((column - 0.38, column + 0.38), (mean, mean), color=ORANGE, linewidth=1.8)
        if len(values) > 1:
            half = float(
                np.std(values, ddof=1) / np.sqrt(len(values)) * student.ppf((1 + _COVERAGE) / 2, len(values) - 1)
            )
            axes.plot((column, column), (mean - half, mean + half), color=ORANGE, linewidth=1.8)
    axes.set(ylabel="minutes of a model", xlim=(-0.5, len(minutes) - 0.5), xticks=[])
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _draw_totals(axes: mpl.axes.Axes, hours: list[float]) -> None:
    axes.bar(range(len(hours)), hours, color=BLUE, width=0.7)
    axes.set(ylabel="hours in all", xlim=(-0.5, len(hours) - 0.5), xticks=[])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
