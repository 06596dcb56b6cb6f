"""Probabilities of a binary target: how they rank, what they decide, and whether they are to be taken at their word."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtrain.aggregates.decisions import Decisions, decide
from mmtrain.aggregates.score_bins import ScoreBins, bin_scores
from mmtrain.drawing.figures import BLUE, DASHED, GREY, INK, Picture, new_figure, new_note
from mmtrain.metrics.classification import auc, average_precision, prevalence
from mmtrain.metrics.decisions import DECISION_THRESHOLD, thresholds_of
from mmtrain.metrics.predicted import Predicted

TOO_FEW = "Not shown: a class has fewer than ten\nparticipants in the test split."
_BINNED = "Points are counts of at least ten participants of each class, or of none."
_HEADINGS = {"test": "ROC", "precision_recall": "Precision and recall", "calibration": "Calibration"}


def draw_scores(predicted: Predicted, title: str, *, threshold: float | None, exact: bool) -> dict[str, Picture]:
    """Draw ROC, precision against recall, calibration, and the decisions at 0.5."""
    bins = bin_scores(predicted, thresholds_of(threshold))
    has_both = len(np.unique(predicted.truth)) == 2
    if (bins is None and not exact) or not has_both:
        note = TOO_FEW if has_both else "Not shown: the test split has one class alone."
        return {
            name: Picture(figure=new_note(note), heading=heading, caption="", description=note.replace("\n", " "))
            for name, heading in _HEADINGS.items()
        }
    drawn = None if exact else bins
    return {
        "test": _draw_roc(predicted, drawn),
        "precision_recall": _draw_precision_recall(predicted, drawn),
        "calibration": _draw_calibration(predicted, drawn, title),
        "confusion": _draw_confusion(decide(predicted, DECISION_THRESHOLD, bins, exact=exact), title),
    }


def _draw_roc(predicted: Predicted, bins: ScoreBins | None) -> Picture:
    from sklearn.metrics import roc_curve

    false, true = roc_curve(predicted.truth, predicted.prediction)[:2] if bins is None else bins.rates
    figure, axes = _unit_square("false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=DASHED, linewidth=1, label="chance")
    axes.plot(false, true, color=BLUE, marker=_marker(bins), markersize=3, label="model")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    area = f" The area under it, over all samples, is {auc(predicted.scored()):.2f}."
    return Picture(
        figure=figure,
        heading=_HEADINGS["test"],
        caption=f"A useful model lies above the dashed line. Clearly below it, the labels that it learnt and "
        f"those of this split contradict each other.{area} " + (_BINNED if bins else ""),
        description=f"ROC curve.{area} " + _points(false, true, "false positive rate", "true positive rate"),
    )


def _draw_precision_recall(predicted: Predicted, bins: ScoreBins | None) -> Picture:
    from sklearn.metrics import precision_recall_curve

    scored = predicted.scored()
    share = prevalence(scored)
    if bins is None:
        precision, recall, _ = precision_recall_curve(predicted.truth, predicted.prediction)
    else:
        recall, precision = bins.precision_recall
    figure, axes = _unit_square("recall", "precision")
    axes.axhline(share, color=GREY, linestyle=DASHED, linewidth=1, label=f"prevalence {share:.2f}")
    axes.plot(recall, precision, color=BLUE, marker=_marker(bins), markersize=3, label="model")
    axes.legend(frameon=False, fontsize=8, loc="lower left" if precision.mean() > 0.5 else "upper right")
    area = f" Average precision over all samples is {average_precision(scored):.2f}."
    return Picture(
        figure=figure,
        heading=_HEADINGS["precision_recall"],
        caption=f"The dashed line is the share of class 1: what guessing reaches.{area} " + (_BINNED if bins else ""),
        description=f"Precision against recall; prevalence {share:.2f}.{area} "
        + _points(recall, precision, "recall", "precision"),
    )


def _draw_calibration(predicted: Predicted, bins: ScoreBins | None, title: str) -> Picture:
    from sklearn.calibration import calibration_curve

    if bins is None:
        share, probability = calibration_curve(predicted.truth, predicted.prediction, n_bins=10)
    else:
        probability, share = bins.reliability
    figure, axes = _unit_square(f"predicted probability of {title}", "observed share")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=DASHED, linewidth=1, label="perfect")
    axes.plot(probability, share, color=BLUE, marker="o", markersize=4, label="model")
    axes.legend(frameon=False, fontsize=8)
    return Picture(
        figure=figure,
        heading=_HEADINGS["calibration"],
        caption="Of those who get a probability, how many are of class 1. On the dashed line probabilities can be "
        "taken at their word.",
        description="Reliability diagram. " + _points(probability, share, "mean probability", "observed share"),
    )


def _draw_confusion(decisions: Decisions, title: str) -> Picture:
    figure, axes = new_figure()
    shades = [[_share(text) for text in row] for row in decisions.shares]
    axes.imshow(shades, cmap="Blues", vmin=0, vmax=100, alpha=0.75)
    for row in (0, 1):
        for column in (0, 1):
            text = f"{decisions.cells[row][column]}\n{decisions.shares[row][column]}".strip()
            is_dark = shades[row][column] > 60
            axes.text(column, row, text, ha="center", va="center", color="white" if is_dark else "black", fontsize=12)
    axes.set(xticks=[0, 1], yticks=[0, 1], xlabel=f"decided {title}", ylabel=f"true {title}")
    return Picture(
        figure=figure,
        heading="Decisions at 0.5",
        caption="Counts of test samples and per cent of their true class; cells below ten are hidden.",
        description="Decided 0 and 1: "
        + "; ".join(f"of true {label}, {' and '.join(row)}" for label, row in enumerate(decisions.cells)),
    )


def _unit_square(x: str, y: str) -> tuple[Any, Any]:
    figure, axes = new_figure()
    axes.set(xlabel=x, ylabel=y, aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.tick_params(color=INK)
    return figure, axes


def _marker(bins: ScoreBins | None) -> str:
    return "" if bins is None else "o"


def _share(text: str) -> float:
    return float(text.removesuffix(" %")) if text else 0.0


def _points(x: NDArray[np.float64], y: NDArray[np.float64], x_name: str, y_name: str) -> str:
    """Name up to five points of a curve, evenly taken."""
    places = np.unique(np.linspace(0, len(x) - 1, 5).astype(int))
    return "; ".join(f"{x_name} {x[place]:.2f}, {y_name} {y[place]:.2f}" for place in places) + "."
