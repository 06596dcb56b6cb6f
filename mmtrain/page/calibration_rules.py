"""The rule about calibration: whether probabilities, or values, are what they say."""

from dataclasses import dataclass

import numpy as np

from mmbase.disclosure import rounded
from mmtrain.metrics.classification import calibration_error
from mmtrain.metrics.metric import Scored
from mmtrain.page.facts import TargetFacts
from mmtrain.page.verdict import Verdict

MIN_PEOPLE = 100
"""Test participants below which a slope says little."""
MAX_CALIBRATION_ERROR = 0.1
SLOPES = (0.75, 1.33)
"""Of the true values on the predicted ones: what is within them is no fault."""
MAX_ODDS_RATIO = 2.0
"""Of the odds of the prevalence to those of the mean probability, or the other way round."""
TINY = 1e-9
MIN_IMBALANCE = 0.1
"""Of the share of class 1 from a half, from which balanced training tells in the probabilities."""


def poor_calibration(target: TargetFacts) -> Verdict | None:
    """Say so where probabilities, or values, are not what they say."""
    if target.is_binary:
        return _poor_probabilities(target)
    slope = calibration_slope(target)
    if slope is None or slope <= 0 or SLOPES[0] <= slope <= SLOPES[1]:  # below 0 another rule speaks
        return None
    what = "too far apart" if slope < 1 else "too close to their mean"
    return Verdict(
        code="poor_calibration",
        level="care",
        title=f"Predicted values lie {what}",
        meaning=f"Where predictions differ by 1, true values differ by {slope:.2f} on average.",
        remedy="Use the ranking (r), or fit a line on the validation split and correct by it before use.",
    )


def calibration_slope(target: TargetFacts) -> float | None:
    """Return by how much true values of the test split differ where predictions differ by 1; None of too few people."""
    predicted = target.predicted.get("test")
    if predicted is None or predicted.num_participants < MIN_PEOPLE:
        return None
    if np.ptp(predicted.prediction) <= TINY * np.abs(predicted.prediction).max():  # the same for everybody
        return None
    return float(np.polyfit(predicted.prediction, predicted.truth, 1)[0])


def _poor_probabilities(target: TargetFacts) -> Verdict | None:
    error, prevalence = target.metric("calibration_error"), balanced_prevalence(target)
    if error is None:
        return None
    off = f"They are off by {error:.2f} on average (calibration error, 10 bins)"
    if prevalence is not None:
        corrected = calibration_error(undo_balance(target.predicted["test"].scored(), prevalence))
        if corrected <= MAX_CALIBRATION_ERROR < error:
            return Verdict(
                code="poor_calibration",
                level="note",
                title="Probabilities are those of a population with as many of class 1 as of class 0",
                meaning=f"{off}, which follows from --balance: training showed both classes as equally frequent, and "
                f"on test {prevalence:.0%} are of class 1. With the odds times {prevalence / (1 - prevalence):.2g}, "
                f"the share of class 1 over that of class 0, they are off by {corrected:.2f}. The ranking (AUC) is "
                "the same.",
                remedy="Multiply the odds so before you take a probability at its word, or train with --balance none.",
            )
    as_a_whole = off_as_a_whole(target)
    if error <= MAX_CALIBRATION_ERROR and as_a_whole is None:
        return None
    size = "" if as_a_whole is None else f"{as_a_whole.meaning} "
    single = "" if error <= MAX_CALIBRATION_ERROR else f"{off}: of those who get 0.8, not 80 % are of class 1."
    balance = (
        "" if prevalence is None else " That training showed both classes as equally frequent explains it in part."
    )
    return Verdict(
        code="poor_calibration",
        level="care",
        title="Probabilities are not to be taken at their word" if as_a_whole is None else as_a_whole.title,
        meaning=f"{size}{single}{balance}{_told_of_brier(target)}".strip(),
        remedy="Use the ranking (AUC), or calibrate the probabilities on the validation split before use.",
    )


@dataclass(frozen=True, slots=True)
class Offset:
    """How far probabilities are off as a whole, in words."""

    title: str
    meaning: str


def off_as_a_whole(target: TargetFacts) -> Offset | None:
    """Say how far the mean probability is from the share of class 1, where their odds are far apart beyond chance.

    Probabilities of a balanced training are left to the rule that undoes the balance.
    """
    prevalence, predicted = target.metric("prevalence"), target.predicted.get("test")
    if prevalence is None or predicted is None or not 0 < prevalence < 1 or balanced_prevalence(target) is not None:
        return None
    mean = rounded(float(np.mean(predicted.prediction)))
    error = np.sqrt(prevalence * (1 - prevalence) / max(1, predicted.num_participants))
    if abs(mean - prevalence) <= 2 * error:
        return None
    ratio = (prevalence / (1 - prevalence)) / max(mean / max(1 - mean, TINY), TINY)
    if 1 / MAX_ODDS_RATIO < ratio < MAX_ODDS_RATIO:
        return None
    size = "small" if mean < prevalence else "large"
    return Offset(
        title=f"Probabilities are too {size} as a whole",
        meaning=f"On average {_per_cent(mean)} is predicted for class 1, and in truth {_per_cent(prevalence)} of the "
        "test samples are of it.",
    )


def _told_of_brier(target: TargetFacts) -> str:
    """Return that always saying the prevalence is as good by the Brier score, where it is."""
    prevalence, brier = target.metric("prevalence"), target.metric("brier")
    if prevalence is None or brier is None or balanced_prevalence(target) is not None:
        return ""
    guess = prevalence * (1 - prevalence)
    if brier < guess:
        return ""
    return (
        f" The Brier score ({brier:.3f}) is no better than that of always saying the prevalence ({guess:.3f}): as "
        "probabilities they are worth nothing, as a ranking they may be."
    )


def _per_cent(share: float) -> str:
    return f"{100 * share:.2g} %"


def balanced_prevalence(target: TargetFacts) -> float | None:
    """Return the share of class 1 on test where training showed both classes as equally frequent, and they are not."""
    prevalence = target.metric("prevalence")
    if not (target.is_binary and target.is_balanced) or prevalence is None or "test" not in target.predicted:
        return None
    return prevalence if abs(prevalence - 0.5) >= MIN_IMBALANCE else None


def undo_balance(scored: Scored, prevalence: float) -> Scored:
    """Return probabilities for a share of class 1, of a model that was shown both classes as equally frequent.

    Source: Saerens, Latinne, Decaestecker 2002, Neural Computation 14:21-41.
    """
    ones, zeros = scored.prediction * prevalence, (1 - scored.prediction) * (1 - prevalence)
    return Scored(scored.truth, ones / (ones + zeros), scored.fixed)
