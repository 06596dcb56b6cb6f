"""The performance grid: targets × sets of inputs, a panel for each domain, the best set of each target outlined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from mmstudy.comparison.contributions import BINARY, CONTINUOUS, MAIN_TITLES
from mmstudy.comparison.drawing.sets import draw_sets, elements_in_order, sort_sets
from mmstudy.comparison.drawing.sheet import FONT_POINTS, Sheet, new_sheet
from mmstudy.comparison.flags import FLAGS
from mmstudy.sweep.grid import InputSet
from mmtrain.drawing.figures import GREY, INK, ORANGE

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

_CELL, _LEFT, _RIGHT, _HEAD, _GAP, _LINE = 0.27, 1.55, 0.35, 0.85, 0.42, 0.19
_NARROWEST = 9.2
"""In inches: edge of a cell, margins, height of the title, between panels, height of a line of dots; width at least."""
_SHADES = ("#f3f5f8", "#a9c6e8", "#2563a8", "#12233a")
_NO_SCORE = "#ffffff"
_LOWEST = {BINARY: 0.5, CONTINUOUS: 0.0}
"""The score of the lightest shade, by kind of target; that of the darkest is 1."""
_DARK = 0.55
"""Of the shades, from which marks are white."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GridCell:
    """One square of the grid."""

    score: float | None
    is_best: bool = False
    mark: str = ""
    """Of the gravest flag."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GridPanel:
    """One domain."""

    domain: str
    sets: tuple[InputSet, ...]
    targets: tuple[tuple[str, str], ...]
    """Name and kind of each."""
    cells: Mapping[tuple[str, InputSet], GridCell]


def panels_of(results: pl.DataFrame, best: pl.DataFrame) -> list[GridPanel]:
    """Return the panels of one series.

    Parameters
    ----------
    results, best
        Of `mmstudy.comparison.compare.Comparison`, of one method and network. Several seeds or folds of a cell are
        shown by their mean.
    """
    chosen = set(zip(best["target"], best["cell"], strict=True))
    return [_panel(str(domain), frame, chosen) for (domain,), frame in results.group_by("domain", maintain_order=True)]


def _panel(domain: str, frame: pl.DataFrame, chosen: set[tuple[str, str]]) -> GridPanel:
    cells = {}
    for (target, cell), rows in frame.group_by("target", "cell", maintain_order=True):
        scores = rows["score"].drop_nulls()
        key = (str(target), InputSet(tuple(rows["inputs"][0]), tuple(rows["blocks"][0])))
        cells[key] = GridCell(
            score=float(np.mean(scores.to_numpy())) if len(scores) else None,
            is_best=(target, cell) in chosen,
            mark=next((flag.mark for flag in FLAGS if rows[flag.name].any()), ""),
        )
    targets = dict(frame.select("target", "kind").iter_rows())
    sets = sort_sets(list(dict.fromkeys(of for _, of in cells)))
    return GridPanel(domain=domain, sets=tuple(sets), targets=tuple(targets.items()), cells=cells)


def draw_grid(panels: Sequence[GridPanel], title: str) -> "Figure":
    """Draw the panels below each other.

    Parameters
    ----------
    title
        Which models these are, and where the best were chosen.
    """
    width = max(_NARROWEST, _LEFT + _RIGHT + _CELL * max(len(panel.sets) for panel in panels))
    heights = [_height(panel) for panel in panels]
    height = _HEAD + sum(heights) + _GAP * len(panels)
    with new_sheet(width, height, title, "outlined: best set      blank: no model") as sheet:
        marks = "      ".join(f"{flag.mark}  {flag.title}" for flag in FLAGS)
        sheet.write(marks, 0.66, fontsize=FONT_POINTS, color=GREY)
        _draw_scales(sheet)
        top = height - _HEAD
        for panel, tall in zip(panels, heights, strict=True):
            _draw_panel(sheet, panel, top)
            top -= tall + _GAP
    return sheet.figure


def _height(panel: GridPanel) -> float:
    return _CELL * len(panel.targets) + _LINE * len(elements_in_order(panel.sets)) + 0.3


def _draw_scales(sheet: Sheet) -> None:
    """Draw what the shades mean, beside the title."""
    for index, (kind, lowest) in enumerate(_LOWEST.items()):
        axes = sheet.axes(sheet.width - 3.6 + index * 1.75, sheet.height - 0.36, 1.4, 0.12)
        axes.imshow(np.linspace(0, 1, 64)[None], aspect="auto", cmap=shades())
        axes.set(yticks=[], xticks=[0, 63], xticklabels=[f"{lowest:g}", "1"])
        axes.set_title(MAIN_TITLES[kind], fontsize=FONT_POINTS, color=INK, pad=2)
        axes.tick_params(length=0, labelsize=7, labelcolor=GREY)
        axes.spines[:].set_visible(False)


def _draw_panel(sheet: Sheet, panel: GridPanel, top: float) -> None:
    """Draw a panel whose upper edge is so many inches above the lower edge of the sheet."""
    wide, tall = _CELL * len(panel.sets), _CELL * len(panel.targets)
    axes = sheet.axes(_LEFT, top - 0.22 - tall, wide, tall)
    sheet.write(panel.domain, sheet.height - top + 0.1, fontsize=9, weight="bold", color=INK)
    _draw_cells(axes, panel)
    labels = [f"{name}  {MAIN_TITLES[kind]}" if kind == CONTINUOUS else name for name, kind in panel.targets]
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlim=(-0.5, len(panel.sets) - 0.5), ylim=(len(labels) - 0.5, -0.5), xticks=[])
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)
    lines = _LINE * len(elements_in_order(panel.sets))
    draw_sets(sheet.axes(_LEFT, top - 0.27 - tall - lines, wide, lines), panel.sets)


def _draw_cells(axes: Any, panel: GridPanel) -> None:
    """Draw all squares of a panel, as one collection: hundreds of single patches take seconds."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    squares, colours, best = list[Rectangle](), list[Any](), list[Rectangle]()
    for line, (target, kind) in enumerate(panel.targets):
        lowest = _LOWEST[kind]
        for column, of in enumerate(panel.sets):
            cell = panel.cells.get((target, of))
            if cell is None:
                continue
            share = None if cell.score is None else float(np.clip((cell.score - lowest) / (1.0 - lowest), 0, 1))
            square = Rectangle((column - 0.46, line - 0.46), 0.92, 0.92)
            squares.append(square)
            colours.append(_NO_SCORE if share is None else shades()(share))
            if cell.mark:
                ink = "white" if share is not None and share > _DARK else INK
                axes.text(column, line, cell.mark, ha="center", va="center_baseline", color=ink, fontsize=9)
            if cell.is_best:
                best.append(square)
    axes.add_collection(PatchCollection(squares, facecolors=colours, edgecolors="none"))
    axes.add_collection(PatchCollection(best, facecolors="none", edgecolors=ORANGE, linewidths=1.8, zorder=3))


@cache
def shades() -> "Colormap":
    """Return the shades from little to much."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("score", _SHADES)
