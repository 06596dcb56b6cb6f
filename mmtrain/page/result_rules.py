"""Rules about how one target was predicted: what its metrics, intervals and predictions say."""

from collections.abc import Iterator

import numpy as np

from mmbase.disclosure import SMALLEST_COUNT
from mmtrain.metrics.decisions import DECISION_THRESHOLD
from mmtrain.metrics.registry import label_of, no_skill
from mmtrain.page.facts import GroupFacts, Interval, TargetFacts
from mmtrain.page.verdict import Verdict

MIN_PEOPLE = 100
"""Test participants below which a metric says little."""
MAX_WIDTH = {"auc": 0.2, "r2": 0.3}
"""Of the interval of the main metric."""
ONE_CLASS_SHARE = 0.99
"""Of equal decisions from which a model is said to decide for one class."""
MIN_DIFFERENCE = {"auc": 0.05, "r2": 0.1}
"""Between validation and test, beside intervals that do not meet."""
GROUP_FACTOR, GROUP_DIFFERENCE = 1.25, 0.05
"""Of a group's error to that of all; of the AUC of all to a group's."""
PERFECT = {"auc": 0.9995, "r2": 0.98}
CLEAN_SWAP = 0.05
"""Between a metric on validation and that on test turned round, up to which all labels of a split seem to be turned."""


def learnt_the_opposite(target: TargetFacts) -> Verdict | None:
    """Say so where predictions go against the truth, beyond chance."""
    name = "auc" if target.is_binary else "r"
    nothing = no_skill(name)
    value, interval = target.metric(name), target.interval(name)
    if value is None or interval is None or nothing is None or interval.high >= nothing:
        return None
    turned = (
        "classes were swapped (0 for 1)" if target.is_binary else "a sign was turned, or a scale runs the other way"
    )
    return Verdict(
        code="learnt_the_opposite",
        level="doubt",
        title="The labels are likely to be swapped: predictions go the opposite way",
        meaning=f"{_told(name, value, interval)} on test lies below {nothing:g}, which is chance, by more than chance "
        "allows. A model that has learnt nothing does not do this, nor do rows in a wrong order, which give chance: "
        f"the labels that it learnt and those it is judged on contradict each other, most likely because {turned}. "
        f"{_whose_labels(target, name, nothing, value)}",
        remedy="First compare the coding of the labels with their source, split by split (mm targets shows the coding "
        "of a field): did some participants get theirs from another table or release? Do not turn the predictions. "
        "Only when it is known which labels are wrong, mend them, run mm ingest, and train and test again.",
    )


def _whose_labels(target: TargetFacts, name: str, nothing: float, test: float) -> str:
    """Return which splits may have the wrong labels, and how clean a swap it is."""
    val = target.metric(name, "val")
    if val is None:
        return ""
    if val < nothing:
        return (
            f"Validation goes the opposite way too ({label_of(name)} {_number(val)}): either the training labels are "
            "turned, or those of validation and test."
        )
    both = (
        f"On validation {label_of(name)} is {_number(val)}: either the test labels are turned, or those of training "
        "and validation; the run cannot tell which."
    )
    mirrored = 2 * nothing - test
    if abs(mirrored - val) > CLEAN_SWAP:
        return (
            f"{both} Turned round, test would reach {_number(mirrored)}, not what validation has: labels may be turned "
            "in a part of a split alone."
        )
    reached = f"1 − AUC on test is {_number(mirrored)}" if target.is_binary else f"−r on test is {_number(mirrored)}"
    return f"{both} {reached}, close to validation's {_number(val)}: a clean swap of a whole split."


def chance(target: TargetFacts) -> Verdict | None:
    """Say so where a model may be no better than chance, or than predicting the mean."""
    name = target.main_metric
    nothing = no_skill(name)
    value, interval = target.metric(name), target.interval(name)
    if value is None or interval is None or nothing is None or interval.low > nothing:
        return None
    if learnt_the_opposite(target) is not None:
        return None
    than, guess = (
        ("chance", "tossing a coin")
        if target.is_binary
        else ("saying the mean for everybody", "saying the mean for everybody")
    )
    r = target.interval("r")
    if not target.is_binary and r is not None and r.low > 0 and value < 0:
        return Verdict(
            code="chance",
            level="doubt",
            title="Predictions are worse than the mean, though they rank people rightly",
            meaning=f"{_told(name, value, interval)} on test is not above 0, but r is {target.metric('r'):.2f}: the "
            "values are shifted or scaled wrongly.",
            remedy="Look at the fit line below: does the test split differ from training (another centre, another "
            "unit)?",
        )
    return Verdict(
        code="chance",
        level="doubt",
        title=f"Not shown to be better than {than}",
        meaning=f"{_told(name, value, interval)} on test: the interval is not above {nothing:g}, "
        f"which is what {guess} gets.",
        remedy="Do not report it as a finding. More test participants narrow the interval; other inputs may hold more.",
    )


def decides_one_class(target: TargetFacts) -> Verdict | None:
    """Say so where everybody, or nearly, gets the same class at 0.5."""
    predicted = target.predicted.get("test")
    if not target.is_binary or predicted is None or not len(predicted.truth):
        return None
    share = float(np.mean(predicted.prediction >= DECISION_THRESHOLD))
    if 1 - ONE_CLASS_SHARE < share < ONE_CLASS_SHARE:
        return None
    label = int(share >= 0.5)
    auc = target.interval("auc")
    ranks = auc is not None and auc.low > 0.5
    chosen = "" if target.threshold is None else f" The threshold chosen on validation is {target.threshold:.2f}."
    return Verdict(
        code="decides_one_class",
        level="care" if ranks else "doubt",
        title=f"The model predicts a single class: at 0.5 (nearly) everybody is decided to be {label}",
        meaning="Balanced accuracy, recall and F1 at 0.5 say nothing here. "
        + (
            f"It does rank people (AUC {target.metric('auc'):.2f}): the threshold 0.5 is what is wrong, as it often is "
            f"where one class is rare.{chosen}"
            if ranks
            else "It does not rank people better than chance either: it has learnt how frequent the classes are, and "
            "no more."
        ),
        remedy="Judge it by AUC and average precision, or at the threshold chosen on validation; train with --balance "
        "weight or undersample so that both classes count the same.",
    )


def few_people(target: TargetFacts) -> Verdict | None:
    """Say so where the test split is small, or the main metric's interval wide."""
    predicted, name = target.predicted.get("test"), target.main_metric
    interval = target.interval(name)
    if predicted is None:
        return None
    n = predicted.num_participants
    smallest = min((predicted.select(predicted.truth == label).num_participants for label in (0, 1)), default=0)
    if target.is_binary and smallest < SMALLEST_COUNT <= n:
        return Verdict(
            code="few_people",
            level="doubt",
            title="A class has fewer than ten test participants: nothing can be said",
            meaning="A model cannot be judged by so few of a class, and what was measured of them is not shown.",
            remedy="Ingest more participants, choose a target that is less rare, or validate by folds (--fold K/N).",
        )
    is_wide = interval is not None and interval.width > MAX_WIDTH[name]
    if n >= MIN_PEOPLE and not is_wide:
        return None
    wide = f", and {label_of(name)} may be anything from {_range(interval)}" if is_wide and interval else ""
    people = f"only {n}" if n >= SMALLEST_COUNT else "fewer than 10"
    return Verdict(
        code="few_people",
        level="care",
        title="Few test participants: the result is uncertain",
        meaning=f"The test split has {people if n < MIN_PEOPLE else n} participants{wide}.",
        remedy="Ingest more participants, or validate by folds (--fold K/N) and look at all folds together.",
    )


def disagreement(target: TargetFacts) -> Verdict | None:
    """Say so where validation and test differ beyond their intervals."""
    name = target.main_metric
    test, val = target.metric(name), target.metric(name, "val")
    ours, theirs = target.interval(name), target.interval(name, "val")
    if test is None or val is None or ours is None or theirs is None:
        return None
    apart = ours.high < theirs.low or theirs.high < ours.low
    if not apart or abs(test - val) < MIN_DIFFERENCE[name]:
        return None
    return Verdict(
        code="disagreement",
        level="care",
        title="Validation and test disagree",
        meaning=f"{_told(name, val, theirs)} on validation and {_told(name, test, ours)} on test: their intervals do "
        "not meet, so the two splits are not alike, or the best epoch was chosen on chance.",
        remedy="Look at the audit's findings about splits below (drift, centres, copied participants); repeat with "
        "other folds (--fold K/N).",
    )


def group_much_worse(target: TargetFacts) -> Verdict | None:
    """Say so where a group is predicted much worse than all together, beyond its interval."""
    worse = [group for group in target.groups if _is_much_worse(target, group)]
    if not worse:
        return None
    named = "; ".join(_told_of_group(target, group) for group in worse)
    return Verdict(
        code="group_much_worse",
        level="care",
        title=f"Much worse for {', '.join(f'{group.by} {group.group}' for group in worse)}",
        meaning=f"{named}. The metrics of all together hide this.",
        remedy="Say so wherever the result is used; look whether the group is rare in training, or scanned otherwise.",
    )


def too_good(target: TargetFacts) -> Verdict | None:
    """Say so where a result is almost perfect, which a leak is too."""
    name = target.main_metric
    value = target.metric(name)
    if value is None or value < PERFECT[name]:
        return None
    return Verdict(
        code="too_good",
        level="note",
        title="Almost perfect",
        meaning=f"{label_of(name)} {value:.4f} on test. Sex is predicted so well from images, little else is.",
        remedy="Look for an input that gives the target away (mm audit --target), and for people in two splits.",
    )


def better_than_nothing(target: TargetFacts) -> Iterator[str]:
    """Yield what speaks for a result."""
    name = target.main_metric
    nothing = no_skill(name)
    test, interval = target.metric(name), target.interval(name)
    if test is None or interval is None or nothing is None or interval.low <= nothing:
        return
    guess = "tossing a coin" if target.is_binary else "saying the mean for everybody"
    yield (
        f"{_told(name, test, interval)} on test for {target.name}: clearly better than guessing, for {guess} gets "
        f"{label_of(name)} {nothing:g}."
    )
    val = target.metric(name, "val")
    if val is not None and disagreement(target) is None:
        yield f"Validation agrees with test ({label_of(name)} {val:.2f} and {test:.2f})."


def _is_much_worse(target: TargetFacts, group: GroupFacts) -> bool:
    name = "auc" if target.is_binary else "mae"
    value, overall = group.metrics.get(name), target.metric(name)
    if value is None or overall is None:
        return False
    own, of_all = group.intervals.get(name), target.interval(name)
    if target.is_binary:
        is_beyond = own is None or own.high < overall
        return is_beyond and overall - value >= GROUP_DIFFERENCE * (1 if own else 2)
    is_beyond = own is None or own.low > (overall if of_all is None else max(overall, of_all.high))
    return is_beyond and value >= GROUP_FACTOR * overall


def _told_of_group(target: TargetFacts, group: GroupFacts) -> str:
    name = "auc" if target.is_binary else "mae"
    unit = f" {target.unit}" if name == "mae" and target.unit else ""
    overall = target.metric(name)
    return (
        f"{label_of(name)} {group.metrics[name]:.3g}{unit} in {group.by} {group.group} (n = {group.n}), "
        f"{overall:.3g}{unit} in all"
    )


def _told(name: str, value: float, interval: Interval) -> str:
    return f"{label_of(name)} {_number(value)} ({_range(interval)})"


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _range(interval: Interval) -> str:
    return f"{interval.low:.2f} to {interval.high:.2f}".replace("-", "−")
