"""Small panels side by side, a panel for each of many things that are alike."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mmstudy.comparison.drawing.sheet import FONT_POINTS, new_sheet
from mmtrain.drawing.figures import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 5
_PANEL_WIDTH, _PANEL_HEIGHT, _HEAD, _AXES_WIDTH, _AXES_HEIGHT = 1.75, 1.75, 0.6, 1.3, 1.0
"""In inches."""


def draw_panels(titles: Sequence[str], draw: Callable[[int, Any], None], title: str, told: str) -> "Figure":
    """Draw panels in lines of five.

    Parameters
    ----------
    titles
        Of the panels.
    draw
        Called with the number of a panel and its axes.
    title, told
        Of the whole picture, and what it shows.
    """
    num_lines = math.ceil(len(titles) / _COLUMNS)
    width, height = _COLUMNS * _PANEL_WIDTH + 0.2, _HEAD + num_lines * _PANEL_HEIGHT
    with new_sheet(width, height, title, told) as sheet:
        for number, name in enumerate(titles):
            line, column = divmod(number, _COLUMNS)
            left, bottom = column * _PANEL_WIDTH + 0.4, height - _HEAD - (line + 1) * _PANEL_HEIGHT + 0.4
            axes = sheet.axes(left, bottom, _AXES_WIDTH, _AXES_HEIGHT)
            axes.set_title(name, loc="left", fontsize=FONT_POINTS, color=INK, pad=3, parse_math=False)
            axes.tick_params(length=2, labelsize=6)
            axes.spines[["top", "right"]].set_visible(False)
            draw(number, axes)
    return sheet.figure
