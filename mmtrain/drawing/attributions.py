"""Pictures of where in the brain a model's output comes from: three planes, attributions over the brain in grey.

The planes meet where the attributions are largest. Colour is as strong as the attribution is large; where it is small
the brain is seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmdata.qc.planes import VIEWS, Plane, planes_through
from mmdata.volume.geometry import Matrix44
from mmtrain.drawing.figures import BLUE, ORANGE, to_png

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

HONEST = (
    "This is what the model used: not what causes the target, and no medical finding. Where inputs go together, it may "
    "use one for another."
)
_OF_MAPS = (
    "Pooling and registration blur maps. In the sanity check of mm, a planted signal was found in its place, and "
    "models of shuffled labels showed none there: docs/explain.md."
)
_SIGNED = ("#9cc8f5", BLUE, "#12233a", ORANGE, "#ffd9a8")
_SIZED = ("#2a1808", ORANGE, "#fff3d6")
_STRONGEST = 99.8
"""Percentile of the absolute attributions that has the full colour."""
_BACKGROUND, _LETTERS, _FAINT = "#0b0d10", "#e8eaed", "#a3a9b1"
_WIDTH, _ROW, _HEAD, _FOOT = 9.4, 2.75, 0.62, 0.52
"""In inches."""
_SCALE_MM = 50
_DPI = 130


@dataclass(frozen=True, kw_only=True, slots=True)
class AttributionRow:
    """One map of a picture."""

    volume_XYZ: NDArray[np.float32]
    label: str
    """What it is, with its unit, for the colour bar."""
    is_signed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class AttributionPicture:
    """What a picture shows; volumes have axes R, A, S."""

    title: str
    subtitle: str
    brain_XYZ: NDArray[np.float32]
    affine_44: Matrix44
    rows: Sequence[AttributionRow]


def draw_attributions(shown: AttributionPicture) -> bytes:
    """Draw a row of three planes for each map, as the bytes of a PNG file; equal input gives equal bytes."""
    from matplotlib.figure import Figure

    height = _HEAD + _FOOT + _ROW * len(shown.rows)
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor=_BACKGROUND)
    text: dict[str, Any] = {"ha": "left", "va": "top", "parse_math": False}
    figure.text(0.012, 1 - 0.1 / height, shown.title, color=_LETTERS, fontsize=11.5, weight="bold", **text)
    figure.text(0.012, 1 - 0.36 / height, shown.subtitle, color=_FAINT, fontsize=8.5, **text)
    figure.text(0.012, (_FOOT - 0.08) / height, f"{HONEST}\n{_OF_MAPS}", color=_FAINT, fontsize=7.5, **text)
    peak = _peak(shown.rows[-1].volume_XYZ)
    for number, row in enumerate(shown.rows):
        bottom = _FOOT + _ROW * (len(shown.rows) - 1 - number)
        _draw_row(figure, shown, row, peak, bottom / height, _ROW / height, with_places=number == 0)
    return to_png(figure, facecolor=_BACKGROUND)


def _peak(volume_XYZ: NDArray[np.float32]) -> tuple[int, ...]:
    """Return the largest voxel; of a cube of equal ones, the middle."""
    sizes_XYZ = np.abs(volume_XYZ)
    largest_N3 = np.argwhere(sizes_XYZ == sizes_XYZ.max())
    nearest = np.square(largest_N3 - largest_N3.mean(axis=0)).sum(axis=1).argmin()
    return tuple(largest_N3[nearest].tolist())


def _draw_row(
    figure: "Figure",
    shown: AttributionPicture,
    row: AttributionRow,
    peak: tuple[int, ...],
    bottom: float,
    height: float,
    *,
    with_places: bool,
) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    strongest = float(np.percentile(np.abs(row.volume_XYZ), _STRONGEST)) or float(np.abs(row.volume_XYZ).max()) or 1.0
    norm = Normalize(-strongest if row.is_signed else 0.0, strongest)
    colours = LinearSegmentedColormap.from_list("attributions", _SIGNED if row.is_signed else _SIZED)
    brain = planes_through(shown.brain_XYZ, peak)
    over = planes_through(row.volume_XYZ, peak)
    position_mm = shown.affine_44[:3, :3] @ peak + shown.affine_44[:3, 3]
    for number, view in enumerate(VIEWS):
        axes = figure.add_axes((0.012 + 0.288 * number, bottom + 0.01 * height, 0.28, 0.96 * height))
        axes.set_axis_off()
        _show(axes, brain[number], over[number], norm, colours, float(shown.brain_XYZ.max()) or 1.0)
        words: dict[str, Any] = {"color": _LETTERS, "fontsize": 8, "transform": axes.transAxes}
        axes.text(0.03, 0.97, view.left, ha="left", va="top", **words)
        axes.text(0.97, 0.97, view.right, ha="right", va="top", **words)
        if with_places:
            place = f"{view.name}, {'xyz'[view.normal]} = {position_mm[view.normal]:.0f} mm".replace("-", "−")
            axes.text(0.03, 0.03, place, ha="left", va="bottom", **words)
            if number == len(VIEWS) - 1:
                _draw_scale(axes, brain[number].shape, abs(float(shown.affine_44[0, 0])))
    _draw_bar(figure, (0.885, bottom + 0.08 * height, 0.013, 0.8 * height), ScalarMappable(norm, colours), row.label)


def _show(axes: Any, brain: Plane, over: Plane, norm: "Normalize", colours: Any, brightest: float) -> None:
    axes.imshow(brain, cmap="gray", vmin=0.0, vmax=1.25 * brightest, interpolation="bilinear")
    strength = np.clip(np.abs(over) / norm.vmax, 0.0, 1.0) ** 0.7
    coloured = colours(norm(over))
    coloured[..., 3] = strength
    axes.imshow(coloured, interpolation="nearest")


def _draw_scale(axes: Any, shape: tuple[int, ...], spacing_mm: float) -> None:
    """Draw a line of 50 mm at the lower right."""
    rows, columns = shape
    length = _SCALE_MM / spacing_mm
    right, low = 0.96 * columns, 0.955 * rows
    axes.plot([right - length, right], [low, low], color=_LETTERS, linewidth=1.6, solid_capstyle="butt")
    axes.text(right - length / 2, low - 0.025 * rows, f"{_SCALE_MM} mm", color=_LETTERS, fontsize=7, ha="center")


def _draw_bar(figure: "Figure", box: tuple[float, float, float, float], colours: "ScalarMappable", label: str) -> None:
    bar: Any = figure.colorbar(colours, cax=figure.add_axes(box))
    bar.set_label(label, color=_FAINT, fontsize=8, parse_math=False)
    bar.outline.set(color=_FAINT, linewidth=0.5)
    bar.ax.tick_params(colors=_FAINT, labelsize=7.5, length=2)
    bar.formatter.set_powerlimits((-2, 3))
    bar.ax.yaxis.get_offset_text().set(color=_FAINT, fontsize=7)
