"""The look of a run's pictures, and how one is written.

Colours are those of the project, blue and orange, which differ in lightness and for every kind of colour blindness;
lines differ in their strokes as well, so that a print in grey says the same.
"""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#2563a8", "#d9772b", "#8a8f98"
BROWN = "#a8501a"
"""Of marks upon light shades, on a light page and on a dark one."""
INK = "#1f2328"
"""Of letters and axes; a page replaces it by its own text colour."""
DASHED = (0, (4, 2))
DOTTED = (0, (1, 2))
_WIDTH_INCHES, _HEIGHT_INCHES = 4.4, 3.5
"""Small, so that letters can be read where a page is as wide as a telephone; one size, so that letters are alike."""
_DPI = 150
FONT_POINTS = 9
_STYLE: Any = {
    "font.size": FONT_POINTS,
    "axes.titlesize": FONT_POINTS,
    "svg.fonttype": "none",
    "svg.hashsalt": "mm",
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A figure with its words."""

    figure: "Figure"
    heading: str
    caption: str
    """What it shows, and how to read it."""
    description: str
    """The same for whoever does not see it: the numbers that matter."""


def new_figure() -> "tuple[Figure, Any]":
    """Return a figure and its axes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH_INCHES, _HEIGHT_INCHES), dpi=_DPI, layout="constrained", facecolor="none")
        axes = figure.subplots()
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def new_note(text: str) -> "Figure":
    """Return what stands for a figure that is not shown: the reason."""
    figure, axes = new_figure()
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", wrap=True, color=INK, transform=axes.transAxes)
    return figure


def to_svg(figure: "Figure") -> bytes:
    """Return a figure as SVG, with letters as text and nothing behind them; equal figures give equal bytes."""
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    return _saved(figure, "svg", metadata=metadata, facecolor="none")


def to_png(figure: "Figure", *, facecolor: str = "white") -> bytes:
    """Return a figure as PNG, on white unless another ground is asked for; equal figures give equal bytes."""
    return _saved(figure, "png", facecolor=facecolor, metadata={"Software": None})


def _saved(figure: "Figure", form: str, **options: Any) -> bytes:
    import matplotlib as mpl

    file = io.BytesIO()
    with mpl.rc_context(_STYLE):
        if figure.get_layout_engine() is not None:  # lay out once, not twice for each form
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
        figure.savefig(file, format=form, **options)
    return file.getvalue()
