"""Pictures of a cohort as the bytes of PNG files; equal input gives equal bytes.

Backgrounds are transparent and letters grey, so that a picture can be read on a light and on a dark page.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmdata.qc.planes import VIEWS, Plane, shrink_plane

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_THUMBNAIL_SIDE = 128
"""Pixels: a plane of a thumbnail larger than this is shrunk."""
FAR = 1.5
"""In widths of the bulk of a measure: a histogram ends there, and values beyond are marked at its edge."""
_BLUE, _ORANGE, _GREY = "#4f83c4", "#e0812f", "#858b95"
_DPI = 144
_SMALL = 8
_MAX_BINS = 48


@dataclass(frozen=True, kw_only=True, slots=True)
class Shading:
    """How numbers become colours."""

    colormap: str
    low: float
    high: float
    label: str
    """What the numbers are."""


def draw_planes(planes: Sequence[Plane], position_mm: NDArray[np.float64], shading: Shading) -> bytes:
    """Draw the three planes of a volume side by side, with their sides, their positions in mm, and a colour bar."""
    figure = _new_figure(9.0, 2.6)
    for number, (plane, view) in enumerate(zip(planes, VIEWS, strict=True)):
        axes = figure.add_axes((0.292 * number, 0.01, 0.284, 0.98))
        image = _show(axes, plane, shading, interpolation="bicubic")
        letters: dict[str, Any] = {"color": "white", "fontsize": 9, "transform": axes.transAxes}
        axes.text(0.03, 0.97, view.left, ha="left", va="top", **letters)
        axes.text(0.97, 0.97, view.right, ha="right", va="top", **letters)
        position = f"{'xyz'[view.normal]} = {position_mm[view.normal]:g} mm".replace("-", "−")
        axes.text(0.03, 0.03, position, ha="left", va="bottom", **letters)
    _add_colorbar(figure, image, (0.888, 0.05, 0.014, 0.9), shading)
    return _png(figure)


def draw_matrix(matrix: Plane, shading: Shading) -> bytes:
    """Draw a connectivity matrix with a colour bar."""
    figure = _new_figure(5.0, 4.1)
    axes = figure.add_axes((0.1, 0.11, 0.7, 0.87))
    image = _show(axes, matrix, shading, interpolation="nearest")
    axes.set_axis_on()
    axes.set(xlabel="region", ylabel="region")
    _in_grey(axes)
    _add_colorbar(figure, image, (0.83, 0.11, 0.026, 0.87), shading)
    return _png(figure)


def draw_histogram(values: NDArray[np.float64], unusual: NDArray[np.float64], leading: NDArray[np.float64]) -> bytes:
    """Draw the distribution of a measure.

    Parameters
    ----------
    values
        Finite values, not all equal.
    unusual
        Values of the scans shown as unusual; a stroke below the axis for each.
    leading
        Those of them that are shown because of this measure; a triangle each.
    """
    low, high = histogram_range(values)
    figure = _new_figure(3.4, 1.5, layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("none")
    num_bins = min(_MAX_BINS, 2 * math.isqrt(len(values)) + 4)
    axes.hist(values, bins=num_bins, range=(low, high), color=_BLUE)
    axes.axvline(float(np.median(values)), color=_GREY, linewidth=1.2, linestyle=(0, (3, 2)))
    bottom = axes.get_xaxis_transform()
    marker: dict[str, Any] = {"transform": bottom, "color": _ORANGE, "linestyle": "none", "clip_on": False}
    axes.plot(np.clip(unusual, low, high), np.full(len(unusual), -0.05), marker="|", markersize=5, **marker)
    axes.plot(np.clip(leading, low, high), np.full(len(leading), 0.07), marker="v", markersize=5, **marker)
    margin = 0.02 * (high - low)
    axes.set(xlim=(low - margin, high + margin))
    axes.locator_params(axis="x", nbins=6)
    axes.locator_params(axis="y", nbins=3, integer=True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="x", pad=7)
    axes.tick_params(axis="y", length=0)
    _in_grey(axes)
    return _png(figure)


def histogram_range(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return where a histogram begins and ends: at the extremes, unless they are far from the bulk of the values.

    The bulk are the inner 90 %; far is more than `FAR` of its widths away.

    >>> histogram_range(np.array([*range(101), 1000.0]))
    (0.0, 232.2...)
    """
    low, high = (float(bound) for bound in np.percentile(values, (5, 95)))
    lowest, highest = float(values.min()), float(values.max())
    if low == high:
        return lowest, highest
    margin = FAR * (high - low)
    return max(lowest, low - margin), min(highest, high + margin)


def draw_thumbnail(planes: Sequence[Plane], shading: Shading) -> bytes:
    """Draw planes side by side, one pixel for each voxel, with nothing around them."""
    from matplotlib.image import imsave

    small = [shrink_plane(plane, MAX_THUMBNAIL_SIDE) for plane in planes]
    picture = io.BytesIO()
    imsave(
        picture,
        np.hstack(small),
        vmin=shading.low,
        vmax=shading.high,
        cmap=shading.colormap,
        format="png",
        pil_kwargs={"optimize": True},
    )
    return picture.getvalue()


def _new_figure(width: float, height: float, *, layout: Literal["constrained"] | None = None) -> "Figure":
    """Return a figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI, layout=layout, facecolor="none")


def _show(axes: Any, plane: Plane, shading: Shading, *, interpolation: str) -> Any:
    axes.set_axis_off()
    return axes.imshow(plane, cmap=shading.colormap, vmin=shading.low, vmax=shading.high, interpolation=interpolation)


def _add_colorbar(figure: "Figure", image: Any, box: tuple[float, float, float, float], shading: Shading) -> None:
    bar = figure.colorbar(image, cax=figure.add_axes(box))
    bar.set_label(shading.label, color=_GREY, fontsize=_SMALL)
    bar.outline.set(color=_GREY, linewidth=0.5)
    bar.ax.tick_params(colors=_GREY, labelsize=_SMALL, length=2)


def _in_grey(axes: Any) -> None:
    axes.tick_params(colors=_GREY, labelsize=_SMALL, width=0.6)
    axes.xaxis.label.set(color=_GREY, fontsize=_SMALL)
    axes.yaxis.label.set(color=_GREY, fontsize=_SMALL)
    for spine in axes.spines.values():
        spine.set(color=_GREY, linewidth=0.6)


def _png(figure: "Figure") -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
