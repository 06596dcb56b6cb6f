"""Whether to believe a run: rules with thresholds, each a pure function of what is known of it.

A rule that finds nothing, or lacks what it looks at, returns None. `judge` asks all of them; docs/run-page.md lists
them with their thresholds.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mmtrain.page.calibration_rules import poor_calibration
from mmtrain.page.facts import RunFacts, TargetFacts
from mmtrain.page.learning_rules import overfitted, stopped_while_improving, waited_for_data
from mmtrain.page.privacy_rules import gives_members_away, withstood_attacks
from mmtrain.page.result_rules import (
    better_than_nothing,
    chance,
    decides_one_class,
    disagreement,
    few_people,
    group_much_worse,
    learnt_the_opposite,
    too_good,
)
from mmtrain.page.verdict import LEVELS, Level, Verdict

T = TypeVar("T")
DIAGNOSTIC = "diagnostic"
"""Setting of a run whose inputs were replaced by its labels."""
CONSTANT = "constant"
"""Setting `model` of a run that predicts the same for everybody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What to read first."""

    level: Level
    headline: str
    verdicts: tuple[Verdict, ...]
    """Worst first."""
    assurances: tuple[str, ...]
    """What speaks for the run."""


HEADLINES: dict[Level, str] = {
    "doubt": "Do not believe this result as it is",
    "care": "Believe this result with care",
    "note": "Nothing speaks against this result",
}
NOT_YET = {
    "training": "This run is still training: nothing is tested yet",
    "stopped": "This run is not finished: nothing is tested",
}
OF_RESULTS: tuple[Callable[[TargetFacts], Verdict | None], ...] = (
    learnt_the_opposite,
    chance,
    decides_one_class,
    few_people,
    disagreement,
    poor_calibration,
    group_much_worse,
    too_good,
)
"""Rules about one target."""
OF_LEARNING: tuple[Callable[[RunFacts], Verdict | None], ...] = (
    overfitted,
    stopped_while_improving,
    waited_for_data,
)
"""Rules about the epochs, which all targets share."""
OF_PRIVACY: tuple[Callable[[RunFacts], Verdict | None], ...] = (gives_members_away,)
"""Rules about what a run gives away."""


FOLLOWING = tuple(rule.__name__ for rule in (overfitted, disagreement, poor_calibration))
"""What follows from swapped labels, and would only distract from them."""


def judge(facts: RunFacts) -> Judgement:
    """Return what to read first of a run."""
    if facts.settings.get(DIAGNOSTIC):
        return Judgement(
            level="doubt", headline="This is a wiring check, no result", verdicts=(wiring_check(),), assurances=()
        )
    if facts.settings.get("model") == CONSTANT:
        return _baseline(facts)
    verdicts = [*of_results(facts.targets), *_found((*OF_LEARNING, *OF_PRIVACY), facts), *_of_record(facts)]
    if any(verdict.code == learnt_the_opposite.__name__ for verdict in verdicts):
        verdicts = [verdict for verdict in verdicts if verdict.code not in FOLLOWING]
    verdicts.sort(key=lambda verdict: LEVELS.index(verdict.level))
    level: Level = verdicts[0].level if verdicts else "note"
    headline = HEADLINES[level] if facts.state == "finished" else NOT_YET[facts.state]
    assurances = [sentence for target in facts.targets for sentence in better_than_nothing(target)]
    assurances += withstood_attacks(facts)
    return Judgement(level=level, headline=headline, verdicts=tuple(verdicts), assurances=tuple(assurances))


def of_results(targets: Sequence[TargetFacts]) -> Iterable[Verdict]:
    """Yield what the rules say of each target; with several, the target is named."""
    for target in targets:
        for verdict in _found(OF_RESULTS, target):
            yield verdict.of(target.name) if len(targets) > 1 else verdict


def wiring_check() -> Verdict:
    """Return what is said of a diagnostic run."""
    return Verdict(
        code="wiring_check",
        level="doubt",
        title="This run was a wiring check",
        meaning="Its inputs were replaced by the labels (setting diagnostic), to see that a network can learn them. "
        "Its metrics say nothing about the brain.",
        remedy="Train again without diagnostic for a result.",
    )


def _baseline(facts: RunFacts) -> Judgement:
    """Return what is said of a model that is to predict the same for everybody: that it does so is no fault."""
    verdict = Verdict(
        code="baseline",
        level="note",
        title="This model (constant) looks at no input: its metrics are the floor",
        meaning="It knows the training labels alone, and gives everybody their mean, or the share of class 1. So R² "
        "is about 0, AUC and balanced accuracy are 0.5, and a single class is decided. A model that has learnt "
        "something must be better than the numbers on this page.",
        remedy="Compare other models with it: mm runs RUN RUN.",
    )
    record = list(_of_record(facts))
    headline = "This is a baseline: it predicts the same for everybody"
    return Judgement(
        level="note",
        headline=headline if facts.state == "finished" else NOT_YET[facts.state],
        verdicts=(verdict, *record),
        assurances=(),
    )


def _of_record(facts: RunFacts) -> Iterable[Verdict]:
    """Yield what the run's record says: accepted findings, withdrawals, parts that cannot be read."""
    accepted, warned = (_codes(facts, severity) for severity in ("critical", "warning"))
    if accepted:
        yield Verdict(
            code="accepted_findings",
            level="doubt",
            title="A critical finding of the audit was accepted",
            meaning=f"The audit of labels, splits and inputs found {', '.join(accepted)}, with which a result is "
            "wrong; the run was trained all the same (--accept).",
            remedy="Read docs/audit.md about it, mend the data, and train again.",
        )
    if warned:
        yield Verdict(
            code="audit_warnings",
            level="note",
            title="The audit warned before the run began",
            meaning=f"It found {', '.join(warned)}. Such a finding may explain a result, a good one too.",
            remedy="Read what the audit said below, and docs/audit.md about it, before you use the result.",
        )
    if facts.withdrawn:
        yield Verdict(
            code="withdrawn_since",
            level="note",
            title="Participants have withdrawn since",
            meaning="The weights were learnt with participants who have withdrawn since. Counts, metrics and pictures "
            "of this page are of those who are left, so they differ from metrics.json.",
            remedy="Train again without them before you publish or share the model.",
        )
    if facts.problems:
        yield Verdict(
            code="unreadable_parts",
            level="care",
            title="Parts of the run cannot be read",
            meaning=" ".join(facts.problems),
            remedy="Put the files back from a backup (mm verify names the damaged ones), then write the page again: "
            f"mm page {facts.run_id}",
        )


def _codes(facts: RunFacts, severity: str) -> list[str]:
    """Return what the audit found of a severity, each with what it is about."""
    found = [finding for finding in facts.audit if finding.get("severity") == severity]
    return sorted(
        {" of ".join(str(finding[key]) for key in ("code", "subject") if finding.get(key)) for finding in found}
    )


def _found(rules: Iterable[Callable[[T], Verdict | None]], facts: T) -> list[Verdict]:
    return [verdict for rule in rules if (verdict := rule(facts)) is not None]
