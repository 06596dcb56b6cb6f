"""A picture of a study's features: a small panel each, with its distribution in every split.

Shares are of the samples of a split that have a value, so that splits of different sizes lie on each other.
"""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catalog.export.bins import as_date, year_edges
from catalog.export.files import require_writable
from catalog.report import typical_value
from catalog.targets import FeatureSummary
from mmbase.files import replace_file
from mmbase.names import SPLITS

SUFFIXES = (".png",)
MAX_COLUMNS = 5
_INK, _GREY, _TRACK = "#2b3440", "#858b95", "#eef0f3"
_COLOURS = {"train": "#a9c6e8", "val": "#e0812f", "test": _INK}
_WORDS = {**_COLOURS, "train": "#6f9fd6"}
"""A colour that fills is too pale for letters."""
_PANEL_WIDTH, _PANEL_HEIGHT, _HEAD = 2.5, 1.7, 0.5
"""In inches."""
_MARGIN = 0.2
"""On the left and right of a panel's axes, in inches."""
_TRACK_WIDTH = 0.8
_DPI = 144
_SMALL, _MEDIUM = 7, 9
_MAX_SUBTITLE, _MAX_TICKS = 42, 4


def write_picture(features: Sequence[FeatureSummary], path: Path, *, overwrite: bool = False) -> None:
    """Write the picture of features to a PNG file.

    Raises
    ------
    CatalogError
        The file is no .png, or is there already and not to be overwritten.
    """
    require_writable(path, SUFFIXES, overwrite=overwrite)
    picture = draw_features(features)
    with replace_file(path) as file:
        file.write(picture)


def draw_features(features: Sequence[FeatureSummary]) -> bytes:
    """Draw features in lines of up to five, as the bytes of a PNG file; equal features give equal bytes."""
    from matplotlib.figure import Figure

    num_columns = max(1, min(MAX_COLUMNS, len(features)))
    width = num_columns * _PANEL_WIDTH
    height = math.ceil(len(features) / num_columns) * _PANEL_HEIGHT + _HEAD
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    top = 1 - 0.27 / height
    for split, left in zip(SPLITS, (0.0, 0.52, 0.86), strict=True):
        figure.text((_MARGIN + left) / width, top, split, color=_WORDS[split], fontsize=11, weight="bold")
    figure.text(
        (_MARGIN + 1.36) / width,
        top,
        "share of those who have a value; of 0 or 1: the share of 1",
        color=_GREY,
        fontsize=_SMALL + 1,
    )
    for number, feature in enumerate(features):
        line, column = divmod(number, num_columns)
        place = (
            (column * _PANEL_WIDTH + _MARGIN) / width,
            (height - _HEAD - line * _PANEL_HEIGHT - 1.28) / height,
            (_PANEL_WIDTH - 2 * _MARGIN) / width,
            0.78 / height,
        )
        _draw_panel(figure.add_axes(place), feature)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _draw_panel(axes: Any, feature: FeatureSummary) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set(color=_GREY, linewidth=0.6)
    axes.tick_params(colors=_GREY, labelsize=_SMALL, width=0.6, length=2, pad=2)
    axes.set_yticks([])
    _write(axes, 0, 1.38, feature.name, color=_INK, fontsize=_MEDIUM, weight="bold")
    _write(axes, 1, 1.38, f"{100 * feature.missing:.1f} % missing", color=_GREY, ha="right")
    _write(axes, 0, 1.15, _shortened(_subtitle(feature)), color=_GREY)
    if not feature.n:
        axes.set_axis_off()
    elif feature.kind == "binary":
        _draw_shares(axes, feature)
    elif feature.kind == "categorical":
        _draw_values(axes, feature)
    else:
        _draw_histogram(axes, feature)


def _subtitle(feature: FeatureSummary) -> str:
    if feature.kind == "binary" or not feature.n:
        return feature.unit
    return f"{typical_value(feature)} {feature.unit}" if feature.kind == "continuous" else typical_value(feature)


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SUBTITLE else f"{text[: _MAX_SUBTITLE - 1]}…"


def _draw_histogram(axes: Any, feature: FeatureSummary) -> None:
    for split, shares in _shares(feature).items():
        filled = split == "train"
        axes.stairs(shares, feature.edges, fill=filled, color=_COLOURS[split], linewidth=0 if filled else 1.1)
    low, high = feature.edges[0], feature.edges[-1]
    axes.set_xlim(low, high)
    if feature.kind == "date":
        years = year_edges(low, high)
        shown = years[:: math.ceil(len(years) / _MAX_TICKS)] if years else (low,)
        axes.set_xticks(shown, [str(as_date(day).year) for day in shown])
    else:
        axes.locator_params(axis="x", nbins=_MAX_TICKS)


def _draw_values(axes: Any, feature: FeatureSummary) -> None:
    places = range(len(feature.values))
    for split, shares in _shares(feature).items():
        if split == "train":
            axes.bar(places, shares, width=0.8, color=_COLOURS[split])
        else:
            axes.hlines(shares, [place - 0.4 for place in places], [place + 0.4 for place in places], _COLOURS[split])
    shown = list(places)[:: math.ceil(len(feature.values) / _MAX_TICKS)]
    axes.set_xticks(shown, [f"{feature.values[place]:.12g}" for place in shown])
    axes.tick_params(axis="x", length=0)


def _draw_shares(axes: Any, feature: FeatureSummary) -> None:
    """Draw for each split the share of ones, as a bar on a track that is all."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(-0.6, 2.6))
    for height, (split, shares) in zip((2, 1, 0), _shares(feature).items(), strict=True):
        axes.barh(height, _TRACK_WIDTH, height=0.62, color=_TRACK)
        axes.barh(height, _TRACK_WIDTH * shares[1], height=0.62, color=_COLOURS[split])
        axes.text(_TRACK_WIDTH + 0.03, height, f"{100 * shares[1]:.1f} %", color=_INK, fontsize=_SMALL, va="center")


def _shares(feature: FeatureSummary) -> dict[str, list[float]]:
    """Return by split the share of its values in each bin."""
    return {
        split: [count / max(1, feature.splits[split].n) for count in feature.splits[split].counts] for split in SPLITS
    }


def _write(axes: Any, left: float, bottom: float, text: str, **style: Any) -> None:
    """Write above a panel; a dollar is a dollar."""
    axes.text(left, bottom, text, **{"fontsize": _SMALL, "transform": axes.transAxes, "parse_math": False, **style})
