"""What the page's tables hold: rows of finished texts, with what may not be told left out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from mmbase.disclosure import SMALLEST_COUNT, hidden_places
from mmbase.names import SPLITS
from mmbase.settings import REQUIRED, settings_of
from mmtrain.aggregates.decisions import OF_COUNTS, Decisions, decide, decided_metrics
from mmtrain.aggregates.people import may_be_told, people_in_bins, shown_count
from mmtrain.aggregates.score_bins import bin_scores
from mmtrain.config.run import SECTIONS
from mmtrain.metrics.decisions import DECISION_THRESHOLD, thresholds_of
from mmtrain.metrics.predicted import Predicted
from mmtrain.metrics.registry import in_table_order, is_main, label_of
from mmtrain.page.facts import GroupFacts, Interval, RunFacts, SplitCount, TargetFacts
from mmtrain.page.guessing import by_guessing

T = TypeVar("T")
SPLIT_TITLES = {"train": "training", "val": "validation", "test": "test"}
AT_THRESHOLD = "balanced_accuracy_at_threshold"
MEDIAN_SPLIT = "median_split_"
NOT_SHOWN = "not shown"
HIDDEN_WITHIN = "*"
"""Marks a metric that is told as a range, for a count below ten follows from it."""
OF_GROUPS = ("mae", "r2", "auc", "brier")
"""What is told of groups: nothing from which a count of decisions follows."""
MIN_GROUP = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricRow:
    """A metric on validation and test."""

    title: str
    is_main: bool
    """Whether it is shown at once."""
    val: str
    test: str
    guess: str
    """On test, of saying the same for everybody."""


def metric_rows(target: TargetFacts, *, exact: bool) -> list[MetricRow]:
    """Return the metrics of a target; those that would tell a small count as a range, or not at all."""
    names = in_table_order([*target.metrics.get("test", {}), *target.metrics.get("val", {})])
    hidden = {split: hidden_metrics(target, split, exact=exact) for split in ("val", "test")}
    told = told_of(target, exact=exact)
    return [
        MetricRow(
            title=label_of(name, target.unit),
            is_main=is_main(name),
            val=_metric_text(target, name, "val", hidden["val"]),
            test=_metric_text(target, name, "test", hidden["test"]),
            guess=number_text(by_guessing(told, name) if name in told.metrics.get("test", {}) else None),
        )
        for name in names
    ]


def told_of(target: TargetFacts, *, exact: bool) -> TargetFacts:
    """Return a target with what may be told of it: rules that look at the rest would tell it too."""
    hidden = {split: hidden_metrics(target, split, exact=exact) for split in target.metrics}
    return replace(
        target,
        metrics=_without(target.metrics, hidden),
        intervals=_without(target.intervals, hidden),
        groups=shown_groups(target, exact=exact),
    )


def hidden_metrics(target: TargetFacts, split: str, *, exact: bool) -> dict[str, tuple[float, float] | None]:
    """Return which metrics of a split may not be told, and the range that may; None where that says nothing.

    A metric of a split of unknown people is told: there is nothing to compare with.
    """
    predicted = target.predicted.get(split)
    names = target.metrics.get(split, {})
    if exact or predicted is None:
        return {}
    if predicted.num_participants < SMALLEST_COUNT:
        return dict.fromkeys(names)
    if not target.is_binary:
        told = _median_split_is_told(predicted, target.training_median)
        return {} if told else {name: None for name in names if name.startswith(MEDIAN_SPLIT)}
    bins = bin_scores(predicted, thresholds_of(target.threshold))
    if bins is None:
        return dict.fromkeys(names)
    hidden: dict[str, tuple[float, float] | None] = {}
    at_half = decide(predicted, DECISION_THRESHOLD, bins)
    if not at_half.is_exact:
        hidden |= dict.fromkeys(OF_COUNTS) | decided_metrics(at_half)
    if target.threshold is None or not (chosen := decide(predicted, target.threshold, bins)).is_exact:
        hidden[AT_THRESHOLD] = None if target.threshold is None else _balanced(chosen)
    return hidden


def confusions(target: TargetFacts, *, exact: bool) -> list[Decisions]:
    """Return the decisions of the test split at 0.5 and at the chosen threshold."""
    predicted = target.predicted.get("test")
    if not target.is_binary or predicted is None or not len(predicted.truth):
        return []
    thresholds = thresholds_of(target.threshold)
    bins = bin_scores(predicted, thresholds)
    return [decide(predicted, threshold, bins, exact=exact) for threshold in dict.fromkeys(thresholds)]


def shown_groups(target: TargetFacts, *, exact: bool) -> tuple[GroupFacts, ...]:
    """Return the groups of which something may be told.

    Those who are in none that is told must be nobody, or ten at least: otherwise what holds for them could be worked
    out from what holds for all.
    """
    if exact:
        return target.groups
    total = len(target.predicted["test"].truth) if "test" in target.predicted else 0
    shown: list[GroupFacts] = []
    for by in dict.fromkeys(group.by for group in target.groups):
        groups = [group for group in target.groups if group.by == by and _is_large(group)]
        rest = max(0, total - sum(group.n for group in groups))
        hidden = hidden_places([*(group.n for group in groups), rest])
        shown += [group for place, group in enumerate(groups) if place not in hidden]
    return tuple(shown)


def group_rows(target: TargetFacts, *, exact: bool) -> list[dict[str, Any]]:
    """Return what the table of groups holds."""
    names = [name for name in OF_GROUPS if any(name in group.metrics for group in target.groups)]
    return [
        {
            "by": group.by,
            "group": group.group,
            "n": f"{group.n:,}",
            "metrics": [_group_text(target, group, name) for name in names],
        }
        for group in shown_groups(target, exact=exact)
    ]


def _group_text(target: TargetFacts, group: GroupFacts, name: str) -> str:
    """Return a metric of a group; not how much of the target's variance is explained in a band of the target itself."""
    is_band = name == "r2" and group.by == target.name
    return number_text(None if is_band else group.metrics.get(name), group.intervals.get(name))


def group_titles(target: TargetFacts) -> list[str]:
    """Return the heads of the columns of `group_rows`."""
    return [label_of(name, target.unit) for name in OF_GROUPS if any(name in group.metrics for group in target.groups)]


def count_rows(counts: Mapping[str, SplitCount], *, exact: bool) -> list[dict[str, Any]]:
    """Return how many samples and participants each split has."""
    show = (lambda number: f"{number:,}") if exact else shown_count
    return [
        {
            "split": SPLIT_TITLES[split],
            "samples": show(counts[split].samples),
            "participants": show(counts[split].participants),
            "classes": class_texts(counts[split], exact=exact),
        }
        for split in SPLITS
        if split in counts
    ]


def class_texts(count: SplitCount, *, exact: bool) -> tuple[str, ...]:
    """Return how many samples of class 0 and of class 1 a split has; none where it has no classes.

    The whole split is told, so where a class has fewer than ten people neither may be told.
    """
    if count.classes is None:
        return ()
    if exact or all(one.participants == 0 or one.participants >= SMALLEST_COUNT for one in count.classes):
        return tuple(f"{one.samples:,}" for one in count.classes)
    return (NOT_SHOWN, NOT_SHOWN)


def setting_rows(facts: RunFacts) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return the settings that differ from their defaults, and those that do not."""
    if facts.config is None:
        return [_plain_setting(name, value) for name, value in facts.settings.items()], []
    values = facts.config.to_json()
    differing: list[dict[str, str]] = []
    equal: list[dict[str, str]] = []
    for setting in settings_of(*SECTIONS.values()):
        if not setting.option.is_option:
            continue
        value = _plain(values[setting.name])
        default = "" if setting.default is REQUIRED else setting_text(_plain(setting.default))
        text = "given (not shown)" if setting.name == "stores" and value else setting_text(value)
        row = {"name": setting.name, "value": text, "default": default, "help": setting.help}
        (equal if text == default else differing).append(row)
    return differing, equal


def setting_text(value: Any) -> str:
    """Return a setting as a table shows it.

    >>> setting_text([32, 64]), setting_text(True), setting_text(None), setting_text(0.0001), setting_text("")
    ('32, 64', 'on', 'none', '0.0001', 'none')
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None or value in ("", [], ()):
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def number_text(value: float | None, interval: Interval | None = None) -> str:
    """Return a number with its interval, to three digits.

    >>> number_text(0.81234, Interval(0.7, 0.9))
    '0.812 (0.700 to 0.900)'
    """
    if value is None:
        return "–"
    digits = 3 if abs(value) < 10 else 2
    bounds = "" if interval is None else f" ({interval.low:.{digits}f} to {interval.high:.{digits}f})"
    return f"{value:.{digits}f}{bounds}".replace("-", "−")


def _without(values: Mapping[str, Mapping[str, T]], hidden: Mapping[str, Collection[str]]) -> dict[str, dict[str, T]]:
    """Return what there is of each split by the name of a metric, without what is hidden."""
    return {
        split: {name: value for name, value in of_split.items() if name not in hidden.get(split, ())}
        for split, of_split in values.items()
    }


def _metric_text(target: TargetFacts, name: str, split: str, hidden: Mapping[str, tuple[float, float] | None]) -> str:
    if name in hidden:
        bounds = hidden[name]
        return NOT_SHOWN if bounds is None else f"{bounds[0]:.2f} to {bounds[1]:.2f}{HIDDEN_WITHIN}"
    return number_text(target.metric(name, split), target.interval(name, split))


def _balanced(decisions: Decisions) -> tuple[float, float] | None:
    return decided_metrics(decisions).get("balanced_accuracy")


def _median_split_is_told(predicted: Predicted, median: float | None) -> bool:
    """Return whether each cell of the confusion at the training median counts nobody, or ten people at least."""
    if median is None:
        return False
    cells = 2 * (predicted.truth > median).astype(int) + (predicted.prediction > median)
    return may_be_told(people_in_bins(cells, predicted.participants, 4))


def _is_large(group: GroupFacts) -> bool:
    """Return whether a group, and each of its classes, may be told of."""
    prevalence = group.metrics.get("prevalence")
    rarer = group.n if prevalence is None else round(min(prevalence, 1 - prevalence) * group.n)
    return group.n >= MIN_GROUP and rarer >= SMALLEST_COUNT


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _plain_setting(name: str, value: Any) -> dict[str, str]:
    return {"name": name, "value": setting_text(value), "default": "", "help": ""}
