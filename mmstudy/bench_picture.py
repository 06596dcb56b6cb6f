"""A picture of what `mm bench` measured: the stages on one side, the modes to augment on the other."""

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

from catalog.export.files import require_writable
from mmbase.files import replace_file
from mmstudy.bench import BenchResult
from mmtrain.bench.start_up import StartUp

SUFFIXES = (".png",)
_BLUE, _ORANGE, _GREY, _INK = "#2563a8", "#d9772b", "#8a8f98", "#2b3440"
_WIDTH, _HEIGHT_OF_BAR, _HEAD, _START_UP = 10.0, 0.42, 1.5, 1.2
"""In inches."""
_DPI = 144
_PARTS = ("#8a8f98", "#b9bec6", "#7ba3cf", "#2563a8")
"""Colours of the parts of the start."""
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
    figure = Figure(figsize=(_WIDTH, height + _START_UP), dpi=_DPI, layout="constrained", facecolor="white")
    axes = figure.subplot_mosaic([["stages", "modes"], ["start", "start"]], height_ratios=[height, _START_UP])
    stages, modes = axes["stages"], axes["modes"]
    volumes = f" at side {result.side}" if len(result.modes) > 1 else ""
    figure.suptitle(
        f"{result.target} from {', '.join(result.inputs)}{volumes}, batches of {result.batch_size}, "
        f"{result.precision} on {result.device}",
        color=_INK,
        fontsize=10,
    )
    _draw_stages(stages, result)
    _draw_modes(modes, result)
    _draw_start_up(axes["start"], result.start_up)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw_stages(axes: Any, result: BenchResult) -> None:
    rates = [stage.samples_per_second for stage in result.stages]
    names = [stage.name + (f" ({stage.cache})" if stage.cache else "") for stage in result.stages]
    limit = result.share_of_conv_limit
    of_limit = "" if limit is None else f" ({limit:.0%} of the limit)"
    labels = [
        _in_words(stage.samples_per_second) + (of_limit if stage.name == "step" else "") for stage in result.stages
    ]
    _draw_bars(axes, names, rates, labels, [_GREY] * len(rates))
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


def _draw_start_up(axes: Any, start_up: StartUp) -> None:
    """Draw the parts of the start one behind the other, their names below them."""
    begin = 0.0
    for (name, seconds), colour in zip(asdict(start_up).items(), _PARTS, strict=True):
        label = f"{name.replace('_', ' ')} {seconds:,.1f} s"
        axes.barh(0, seconds, left=begin, color=colour, height=0.5, label=label)
        begin += seconds
    axes.set_xlim(0, begin)
    axes.set_ylim(-0.7, 0.7)
    axes.set_yticks([0], ["start-up"])
    axes.set_title(f"from the command's start to the end of the first step: {begin:,.1f} s", fontsize=_MEDIUM)
    axes.legend(ncols=len(_PARTS), loc="upper center", bbox_to_anchor=(0.5, -0.35), frameon=False, fontsize=_SMALL)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=_MEDIUM)
    axes.tick_params(axis="x", labelsize=_SMALL, colors=_GREY)


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
