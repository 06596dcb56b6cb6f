"""A picture of what accounts for most: bars of mean absolute attributions with their intervals."""

from collections.abc import Sequence
from typing import Any

from mmtrain.drawing.attributions import HONEST
from mmtrain.drawing.figures import BLUE, GREY, INK, to_png
from mmtrain.explain.ranking import RankedPart

MAX_BARS = 20
_WIDTH, _BAR, _HEAD, _FOOT = 7.0, 0.24, 0.75, 1.0
"""In inches."""
_DPI = 130
_LONGEST = 34
"""Characters of a name."""


def draw_ranking(parts: Sequence[RankedPart], title: str, subtitle: str, unit: str) -> bytes:
    """Draw the first `MAX_BARS` parts of a ranking, as the bytes of a PNG file."""
    from matplotlib.figure import Figure

    shown = parts[:MAX_BARS]
    height = _HEAD + _FOOT + _BAR * len(shown)
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor="white")
    text: dict[str, Any] = {"ha": "left", "va": "top", "parse_math": False}
    figure.text(0.02, 1 - 0.12 / height, title, color=INK, fontsize=11, weight="bold", **text)
    rest = f" · first {len(shown)} of {len(parts)}" if len(parts) > len(shown) else ""
    figure.text(0.02, 1 - 0.4 / height, subtitle + rest, color=GREY, fontsize=8, **text)
    figure.text(0.02, 0.36 / height, "\n".join(_two_lines(HONEST)), color=GREY, fontsize=7.5, **text)
    axes = figure.add_axes((0.3, _FOOT / height, 0.65, _BAR * len(shown) / height))
    _draw_bars(axes, shown)
    axes.set_xlabel(f"mean |attribution|, {unit}", color=INK, fontsize=8.5, parse_math=False)
    return to_png(figure)


def _draw_bars(axes: Any, shown: Sequence[RankedPart]) -> None:
    places = list(range(len(shown)))
    axes.barh(places, [part.mean_size for part in shown], height=0.68, color=BLUE)
    for place, part in zip(places, shown, strict=True):
        if part.interval is not None:
            axes.hlines(place, *part.interval, color=INK, linewidth=1.2)
    axes.set_yticks(places, [_shortened(part.name) for part in shown], fontsize=8.5, parse_math=False)
    axes.set(ylim=(len(shown) - 0.4, -0.6), xlim=(0, None))
    axes.tick_params(axis="y", length=0, colors=INK)
    axes.tick_params(axis="x", labelsize=8, colors=INK)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _two_lines(text: str) -> tuple[str, str]:
    """Return a text in two lines of about the same length, broken between words."""
    middle = text.find(" ", len(text) // 2)
    return text[:middle], text[middle + 1 :]
