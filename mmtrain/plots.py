"""Pictures of a run, as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, roc_curve

from mmtrain.metrics import DECISION_THRESHOLD

_BLUE, _ORANGE, _GREY = "#2563a8", "#d9772b", "#8a8f98"
_SIZE_INCHES = (6.4, 4.8)
_DPI = 120


def plot_losses(history: Sequence[Mapping[str, Any]], best_epoch: int, title: str, path: Path) -> None:
    """Draw training and validation loss by epoch, the best epoch marked."""
    figure, axes = _figure()
    epochs = [entry["epoch"] for entry in history]
    axes.plot(epochs, [entry["train_loss"] for entry in history], color=_BLUE, label="training")
    axes.plot(epochs, [entry["val_loss"] for entry in history], color=_ORANGE, label="validation")
    axes.axvline(best_epoch, color=_GREY, linestyle="--", linewidth=1, label=f"best epoch ({best_epoch})")
    axes.set(xlabel="epoch", ylabel="loss", yscale="log", title=title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)
    figure.savefig(path)


def plot_regression(
    truth: NDArray[np.float64], prediction: NDArray[np.float64], metrics: Mapping[str, float], name: str, path: Path
) -> None:
    """Draw predicted against true values with the identity and the fitted line."""
    figure, axes = _figure()
    low, high = min(truth.min(), prediction.min()), max(truth.max(), prediction.max())
    margin = 0.04 * (high - low)
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=_GREY, linestyle="--", linewidth=1, label="perfect")
    slope, intercept = np.polyfit(truth, prediction, 1) if np.std(truth) > 0 else (0.0, prediction.mean())
    ends = np.array([truth.min(), truth.max()])
    axes.plot(ends, slope * ends + intercept, color=_ORANGE, linewidth=1.5, label="fit")
    axes.scatter(truth, prediction, s=18, color=_BLUE, alpha=max(0.15, min(0.8, 60 / len(truth))), linewidths=0)
    title = f"test, n = {len(truth)}: MAE {metrics['mae']:.3g}, R² {metrics['r2']:.3f}, r {metrics['r']:.3f}"
    axes.set(xlabel=f"true {name}", ylabel=f"predicted {name}", xlim=limits, ylim=limits, title=title, aspect="equal")
    axes.legend(frameon=False)
    figure.savefig(path)


def plot_classification(
    truth: NDArray[np.float64], probability: NDArray[np.float64], metrics: Mapping[str, float], name: str, path: Path
) -> None:
    """Draw the receiver operating characteristic beside the confusion matrix."""
    figure = Figure(figsize=(2 * _SIZE_INCHES[0] * 0.8, _SIZE_INCHES[1] * 0.9), dpi=_DPI, layout="constrained")
    curve, matrix = figure.subplots(1, 2)
    false_positive, true_positive, _ = roc_curve(truth, probability)
    curve.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1)
    curve.plot(false_positive, true_positive, color=_BLUE)
    curve.set(
        xlabel="false positive rate",
        ylabel="true positive rate",
        aspect="equal",
        title=f"test, AUC {metrics['auc']:.3f}",
    )
    counts = confusion_matrix(truth.astype(int), (probability >= DECISION_THRESHOLD).astype(int), labels=[0, 1])
    matrix.imshow(counts, cmap="Blues", vmin=0)
    for (row, column), count in np.ndenumerate(counts):
        shade = "white" if count > counts.max() / 2 else "black"
        matrix.text(column, row, str(count), ha="center", va="center", color=shade, fontsize=14)
    matrix.set(
        xticks=[0, 1],
        yticks=[0, 1],
        xlabel=f"predicted {name}",
        ylabel=f"true {name}",
        title=f"balanced accuracy {metrics['balanced_accuracy']:.3f}, n = {len(truth)}",
    )
    figure.savefig(path)


def _figure() -> tuple[Figure, Any]:
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
