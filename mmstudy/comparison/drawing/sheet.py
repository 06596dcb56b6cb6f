"""The sheet of a picture: white, with its title and what it shows above, measured in inches."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmtrain.drawing.figures import GREY, INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FONT_POINTS = 8
_MARGIN = 0.15
_STYLE: Any = {"font.size": FONT_POINTS, "svg.fonttype": "none", "svg.hashsalt": "mm", "text.parse_math": False}
"""Names of targets and files are words: a dollar sign in them begins no formula."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A figure of so many inches."""

    figure: "Figure"
    width: float
    height: float

    def axes(self, left: float, bottom: float, width: float, height: float) -> Any:
        """Return axes at a place."""
        return self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))

    def write(self, text: str, below_top: float, **style: Any) -> None:
        """Write a line on the left, so far below the upper edge."""
        self.figure.text(_MARGIN / self.width, 1 - below_top / self.height, text, **style)


@contextmanager
def new_sheet(width: float, height: float, title: str, told: str) -> Iterator[Sheet]:
    """Open a sheet to draw on while a block lasts.

    Parameters
    ----------
    told
        What is shown, below the title.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        sheet = Sheet(Figure(figsize=(width, height), dpi=150, facecolor="white"), width, height)
        sheet.write(title, 0.26, fontsize=11, weight="bold", color=INK)
        sheet.write(told, 0.48, fontsize=FONT_POINTS, color=GREY)
        yield sheet
