"""What each input adds in each domain: coefficients of the mixed models with their intervals."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from mmstudy.comparison.contributions import MAIN, MAIN_TITLES
from mmstudy.comparison.drawing.sets import title_of
from mmstudy.comparison.drawing.sheet import new_sheet
from mmstudy.comparison.mixed_models import INTERCEPT
from mmtrain.drawing.figures import BLUE, GREY, INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINE, _HEAD, _PANEL_EXTRA, _WIDTH, _LEFT, _RIGHT = 0.27, 0.75, 0.75, 7.6, 2.1, 0.3
"""In inches."""
_LEVEL = 0.05


def draw_effects(effects: pl.DataFrame, title: str) -> "Figure":
    """Draw the effects of one method and network, a panel for each domain.

    Parameters
    ----------
    effects
        `mmstudy.comparison.mixed_models.EFFECTS` of one method and network.
    title
        Which models these are.
    """
    shown = effects.filter(pl.col("term") != INTERCEPT)
    panels = [frame for _, frame in shown.group_by("domain", maintain_order=True)]
    heights = [_LINE * frame.height + _PANEL_EXTRA for frame in panels]
    height = _HEAD + sum(heights)
    ends, top = _ends(shown), height - _HEAD
    told = "change of performance with the input, with 95 % intervals; filled: p < 0.05, each by itself"
    with new_sheet(_WIDTH, height, title, told) as sheet:
        for frame, tall in zip(panels, heights, strict=True):
            lines = _LINE * frame.height
            _draw_panel(sheet.axes(_LEFT, top - 0.2 - lines, _WIDTH - _LEFT - _RIGHT, lines), frame, ends)
            top -= tall
    return sheet.figure


def _ends(shown: pl.DataFrame) -> tuple[float, float]:
    """Return the ends of the axis that all panels have, so that they can be compared."""
    low, high = (float(of) if isinstance(of, float) else 0.0 for of in (shown["low"].min(), shown["high"].max()))
    room = 0.06 * (high - low or 1.0)
    return min(low, 0.0) - room, max(high, 0.0) + room


def _draw_panel(axes: Any, frame: pl.DataFrame, ends: tuple[float, float]) -> None:
    axes.axvline(0, color=GREY, linewidth=0.8)
    for line, row in enumerate(frame.iter_rows(named=True)):
        axes.plot((row["low"], row["high"]), (line, line), color=BLUE, linewidth=1.6, solid_capstyle="butt")
        face = BLUE if row["p"] is not None and row["p"] < _LEVEL else "white"
        axes.plot(row["estimate"], line, "o", color=BLUE, markerfacecolor=face, markersize=5)
    axes.set_yticks(range(frame.height), _labels(frame["term"].to_list()))
    axes.set(xlim=ends, ylim=(frame.height - 0.4, -0.6))
    axes.set_title(
        f"{frame['domain'][0]}: {_OUTCOMES.get(frame['outcome'][0], frame['outcome'][0])}", loc="left", fontsize=9
    )
    axes.tick_params(length=2, labelcolor=INK)
    axes.spines[["top", "right", "left"]].set_visible(False)


_OUTCOMES = {MAIN[kind]: title for kind, title in MAIN_TITLES.items()}


def _labels(terms: Sequence[str]) -> list[str]:
    return [" + ".join(map(title_of, term.split("+"))) for term in terms]
