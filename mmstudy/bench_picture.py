"""A picture of what `mm bench` measured: the stages on one side, the modes to augment on the other."""

import io
from pathlib import Path
from typing import Any

from catalog.export.files import require_writable
from mmbase.files import replace_file
from mmstudy.bench import BenchResult

SUFFIXES = (".png",)
_BLUE, _ORANGE, _GREY, _INK = "#2563a8", "#d9772b", "#8a8f98", "#2b3440"
_WIDTH, _HEIGHT_OF_BAR, _HEAD = 10.0, 0.42, 1.5
"""In inches."""
_DPI = 144
_SMALL, _MEDIUM = 8, 9


def require_picture(path: Path, *, overwrite: bool) -> None:
    """Refuse a picture that cannot be written, before anything is measured.

    Raises
    ------
    CatalogError
        The file is no .png, or is there already and not to be overwritten.
    """
    require_writable(path, SUFFIXES, overwrite=overwrite)


def write_picture(result: BenchResult, path: Path) -> None:
    """Write the picture of a measurement to a PNG file."""
    picture = draw_result(result)
    with replace_file(path) as file:
        file.write(picture)


def draw_result(result: BenchResult) -> bytes:
    """Draw samples a second of all stages and modes, as the bytes of a PNG file."""
    from matplotlib.figure import Figure

    height = _HEAD + _HEIGHT_OF_BAR * max(len(result.stages), len(result.modes))
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained", facecolor="white")
    stages, modes = figure.subplots(1, 2)
    volumes = f" at side {result.side}" if len(result.modes) > 1 else ""
    figure.suptitle(
        f"{result.target} from {', '.join(result.inputs)}{volumes}, batches of {result.batch_size}, "
        f"{result.precision} on {result.device}",
        color=_INK,
        fontsize=10,
    )
    _draw_stages(stages, result)
    _draw_modes(modes, result)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw_stages(axes: Any, result: BenchResult) -> None:
    rates = [stage.samples_per_second for stage in result.stages]
    names = [stage.name + (f" ({stage.cache})" if stage.cache else "") for stage in result.stages]
    _draw_bars(axes, names, rates, [_in_words(rate) for rate in rates], [_GREY] * len(rates))
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 3, max(rates) * 12)
    axes.set_title("each stage by itself", fontsize=_MEDIUM)
    axes.set_xlabel("samples/s, logarithmic", fontsize=_SMALL)


def _draw_modes(axes: Any, result: BenchResult) -> None:
    chosen = result.recommendation.mode if len(result.modes) > 1 else None
    names = [f"{mode.mode}{'*' if mode.is_predicted else ''}" for mode in result.modes]
    rates = [mode.sustained for mode in result.modes]
    labels = [
        f"{_in_words(mode.sustained)}, waits {mode.wait_share:.0%}" + (" (recommended)" if mode.mode == chosen else "")
        for mode in result.modes
    ]
    _draw_bars(axes, names, rates, labels, [_ORANGE if mode.mode == chosen else _BLUE for mode in result.modes])
    axes.set_xlim(0, 1.7 * max(rates))
    predicted = "; * predicted" if any(mode.is_predicted for mode in result.modes) else ""
    axes.set_title(f"real steps, end to end{predicted}", fontsize=_MEDIUM)
    axes.set_xlabel("samples/s", fontsize=_SMALL)


def _in_words(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:,.1f}"


def _draw_bars(axes: Any, names: list[str], rates: list[float], labels: list[str], colours: list[str]) -> None:
    places = range(len(names))
    axes.barh(places, rates, color=colours, height=0.62)
    for place, rate, label in zip(places, rates, labels, strict=True):
        axes.annotate(
            label, (rate, place), xytext=(4, 0), textcoords="offset points", va="center", color=_INK, fontsize=_SMALL
        )
    axes.set_yticks(places, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=_MEDIUM)
    axes.tick_params(axis="x", labelsize=_SMALL, colors=_GREY)
