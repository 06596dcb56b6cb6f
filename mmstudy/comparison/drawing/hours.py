"""How long models of each set of inputs were trained: every run a point, means with intervals, and total hours."""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from mmbase.names import METADATA
from mmstudy.comparison.drawing.sets import draw_sets, elements_in_order, sort_sets
from mmstudy.comparison.drawing.sheet import new_sheet
from mmstudy.comparison.totals import MINUTES_OF_HOUR, each_run_once, mean_interval
from mmstudy.sweep.grid import InputSet
from mmstudy.wording import duration
from mmtrain.drawing.figures import BLUE, ORANGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMN, _LEFT, _RIGHT, _HEAD, _POINTS, _BARS, _LINE = 0.24, 1.3, 0.3, 0.7, 2.4, 1.0, 0.19
_NARROWEST = 6.4
"""All in inches."""
_SPREAD = 0.3
"""Of points beside each other, in columns."""


def draw_hours(results: pl.DataFrame, title: str, *, trunk_hours: float = 0.0) -> "Figure | None":
    """Draw the training times of one method and network; None where no run says how long it took.

    Groups of tabular features cost nothing beside volumes, so sets are told apart by volumes, connectivity and whether
    there is metadata.

    Parameters
    ----------
    trunk_hours
        Of training imaging networks that these models share, which are in no point and no bar.
    """
    timed = each_run_once(results).filter(pl.col("minutes").is_not_null())
    by_set: dict[InputSet, list[float]] = {}
    for inputs, minutes in timed.select("inputs", "minutes").iter_rows():
        blocks = ("tabular",) if METADATA in inputs else ()
        by_set.setdefault(InputSet(tuple(inputs), blocks), []).append(minutes)
    if not by_set:
        return None
    sets = sort_sets(list(by_set))
    lines = _LINE * len(elements_in_order(sets))
    width = max(_NARROWEST, _LEFT + _COLUMN * len(sets) + _RIGHT)
    height, wide = _HEAD + _POINTS + 0.3 + _BARS + 0.12 + lines + 0.1, width - _LEFT - _RIGHT
    total = sum(map(sum, by_set.values())) / MINUTES_OF_HOUR
    told = f"points: models; bars: means with 95 % intervals; {duration(total)} in all"
    if trunk_hours:
        told += f", and {duration(trunk_hours)} of trunks, which these models share"
    with new_sheet(width, height, title, told) as sheet:
        _draw_points(sheet.axes(_LEFT, height - _HEAD - _POINTS, wide, _POINTS), [by_set[of] for of in sets])
        _draw_totals(sheet.axes(_LEFT, lines + 0.22, wide, _BARS), [sum(by_set[of]) / MINUTES_OF_HOUR for of in sets])
        draw_sets(sheet.axes(_LEFT, 0.1, wide, lines), sets)
    return sheet.figure


def _draw_points(axes: Any, minutes: list[list[float]]) -> None:
    for column, values in enumerate(minutes):
        places = column + np.linspace(-_SPREAD, _SPREAD, len(values)) if len(values) > 1 else [column]
        axes.plot(places, sorted(values), ".", color=BLUE, alpha=0.45, markersize=3)
        mean = float(np.mean(values))
        axes.plot((column - 0.38, column + 0.38), (mean, mean), color=ORANGE, linewidth=1.8)
        if interval := mean_interval(values):
            axes.plot((column, column), interval, color=ORANGE, linewidth=1.8)
    axes.set(ylabel="minutes of a model", xlim=(-0.5, len(minutes) - 0.5), xticks=[])
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _draw_totals(axes: Any, hours: list[float]) -> None:
    axes.bar(range(len(hours)), hours, color=BLUE, width=0.7)
    axes.set(ylabel="hours in all", xlim=(-0.5, len(hours) - 0.5), xticks=[])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
