"""Pictures of a run's epochs: losses, the main validation metric, and speed."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from mmtrain.drawing.figures import BLUE, DASHED, DOTTED, FONT_POINTS, GREY, ORANGE, Picture, new_figure
from mmtrain.metrics.registry import label_of, no_skill

Epochs = Sequence[Mapping[str, Any]]
"""Lines of metrics.jsonl."""
MAX_RATIO = 10
"""Of the largest loss on the axis to the median one: a few huge ones would press all others to the ground."""
MARKED_EPOCHS = 12
"""Up to so many, each epoch is a point: one alone would be no line."""


def draw_losses(history: Epochs, best_epoch: int) -> Picture:
    """Draw training and validation loss by epoch, the best epoch marked."""
    figure, axes = new_figure()
    epochs = [entry["epoch"] for entry in history]
    training, validation = ([entry[name] for entry in history] for name in ("train_loss", "val_loss"))
    marker = _marker(history)
    axes.plot(epochs, training, color=BLUE, marker=marker, markersize=3, label="training")
    axes.plot(epochs, validation, color=ORANGE, marker=marker, markersize=3, linestyle=DASHED, label="validation")
    losses = training + validation
    _mark_best(axes, best_epoch, epochs)
    axes.set(xlabel="epoch", ylabel="loss")
    end = MAX_RATIO * median(losses)
    is_cut = min(losses) > 0 and max(losses) > end
    if is_cut:
        axes.set_ylim(0, end)
    axes.legend(frameon=False, fontsize=8)
    at_best = next(entry for entry in history if entry["epoch"] == best_epoch)
    last = history[-1]
    return Picture(
        figure=figure,
        heading="Loss",
        caption="Both fall while the model learns what holds for everybody. From where validation rises and training "
        "still falls, it learns its training participants by heart."
        + (f" Losses above {end:.3g} lie outside the picture." if is_cut else ""),
        description=f"Training and validation loss: {training[0]:.4g} and {validation[0]:.4g} in epoch {epochs[0]}, "
        f"{at_best['train_loss']:.4g} and {at_best['val_loss']:.4g} in the best epoch, {best_epoch}, "
        f"{last['train_loss']:.4g} and {last['val_loss']:.4g} in the last, {last['epoch']}.",
    )


def draw_metric(history: Epochs, best_epoch: int, name: str, key: str) -> Picture | None:
    """Draw a validation metric by epoch; None where the epochs have not got it.

    Parameters
    ----------
    name
        Of the metric.
    key
        What it is called in the epochs' ``val``: with several targets, the target's name comes first.
    """
    entries = [entry for entry in history if isinstance(entry.get("val", {}).get(key), int | float)]
    if not entries:
        return None
    figure, axes = new_figure()
    values = [entry["val"][key] for entry in entries]
    epochs = [entry["epoch"] for entry in entries]
    axes.plot(epochs, values, color=ORANGE, marker=_marker(entries), markersize=3)
    nothing = no_skill(name)
    if nothing is not None:
        axes.axhline(nothing, color=GREY, linestyle=DOTTED, linewidth=1.2, label="no better than nothing")
    _mark_best(axes, best_epoch, epochs)
    title = label_of(name)
    if name == "r2":
        axes.set_ylim(bottom=max(min(values), -1.0) - 0.05)  # the first epochs of a regression are far below
    axes.set(xlabel="epoch", ylabel=f"validation {title}")
    axes.legend(frameon=False, fontsize=8)
    of_best = next((entry["val"][key] for entry in entries if entry["epoch"] == best_epoch), values[-1])
    return Picture(
        figure=figure,
        heading=f"Validation {title}",
        caption="The best epoch is the one with the lowest validation loss, not the best metric.",
        description=f"Validation {title}: {values[0]:.3f} at first, {of_best:.3f} in the best epoch, {values[-1]:.3f} "
        "at last.",
    )


def draw_speed(history: Epochs) -> Picture | None:
    """Draw samples per second by epoch, and which share of the time the device waited; None where it is not known."""
    entries = [entry for entry in history if isinstance(entry.get("samples_per_second"), int | float)]
    if not entries:
        return None
    figure, axes = new_figure()
    epochs, speeds = [entry["epoch"] for entry in entries], [entry["samples_per_second"] for entry in entries]
    axes.plot(epochs, speeds, color=BLUE, marker=_marker(entries), markersize=3, label="samples/s")
    axes.set(xlabel="epoch", ylabel="training samples per second", ylim=(0, 1.3 * max(speeds)))
    _count_epochs(axes, epochs)
    waits = [100 * entry.get("wait_share", 0.0) for entry in entries]
    other = axes.twinx()
    other.set_facecolor("none")
    other.spines[["top", "left"]].set_visible(False)
    other.plot(epochs, waits, color=ORANGE, linestyle=DASHED, label="waiting")
    other.tick_params(labelsize=FONT_POINTS)
    other.yaxis.label.set_size(FONT_POINTS)
    other.set(ylabel="waiting for data, % of the time", ylim=(0, 1.3 * max(10.0, *waits)))
    lines = [*axes.get_lines(), *other.get_lines()]
    axes.legend(handles=lines, frameon=False, fontsize=8, loc="upper right", ncols=2)
    return Picture(
        figure=figure,
        heading="Speed and waiting",
        caption="The device should hardly ever wait; docs/streaming.md says what to do above 5 %.",
        description=f"From {min(speeds):.0f} to {max(speeds):.0f} samples per second; waiting at most {max(waits):.0f} "
        "% of an epoch.",
    )


def _mark_best(axes: Any, best_epoch: int, epochs: Sequence[int]) -> None:
    axes.axvline(best_epoch, color=GREY, linewidth=1.2, label=f"best epoch ({best_epoch})")
    _count_epochs(axes, epochs)


def _count_epochs(axes: Any, epochs: Sequence[int]) -> None:
    """Let the axis have whole numbers, also where there is one epoch alone, as of a model that is fitted at once."""
    axes.xaxis.get_major_locator().set_params(integer=True)
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)


def _marker(history: Epochs) -> str:
    return "o" if len(history) <= MARKED_EPOCHS else ""
