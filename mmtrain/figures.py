"""The look of a run's pictures, and the one that every run has: its losses."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mmbase.files import replace_file

BLUE, ORANGE, GREY = "#2563a8", "#d9772b", "#8a8f98"
_WIDTH_INCHES, _HEIGHT_INCHES = 6.4, 4.8
_DPI = 120


def new_figure() -> tuple[Figure, Any]:
    """Return a figure and its axes."""
    figure = Figure(figsize=(_WIDTH_INCHES, _HEIGHT_INCHES), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def new_pair() -> tuple[Figure, Any]:
    """Return a figure and two axes side by side."""
    size = (2 * _WIDTH_INCHES * 0.8, _HEIGHT_INCHES * 0.9)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    return figure, figure.subplots(1, 2)


def write_picture(path: Path, figure: Figure) -> None:
    """Write a figure to a PNG file in one step, for its owner alone."""
    with replace_file(path) as file:
        figure.savefig(file, format="png")


def draw_losses(history: Sequence[Mapping[str, Any]], best_epoch: int, title: str) -> Figure:
    """Draw training and validation loss by epoch, the best epoch marked."""
    figure, axes = new_figure()
    epochs = [entry["epoch"] for entry in history]
    training, validation = ([entry[name] for entry in history] for name in ("train_loss", "val_loss"))
    axes.plot(epochs, training, color=BLUE, label="training")
    axes.plot(epochs, validation, color=ORANGE, label="validation")
    scale = "log" if min(training + validation) > 0 else "linear"  # a likelihood may be negative
    axes.axvline(best_epoch, color=GREY, linestyle="--", linewidth=1, label=f"best epoch ({best_epoch})")
    axes.set(xlabel="epoch", ylabel="loss", yscale=scale, title=title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)
    return figure
