"""Rules about what a run gives away of whom it was trained on, where attacks were made (`mm privacy`)."""

from collections.abc import Iterator

from mmtrain.page.facts import RunFacts
from mmtrain.page.verdict import Verdict
from mmtrain.privacy.finding import REMEDIES, Level, verdict_of

GIVES_AWAY: tuple[Level, ...] = ("strong", "some")
"""Levels that are told at the head of a page. They are worth knowing and no fault of the result."""


def gives_members_away(facts: RunFacts) -> Verdict | None:
    """Say so where an attack told members from others."""
    if facts.privacy is None or facts.privacy.level not in GIVES_AWAY:
        return None
    found = [target for target in facts.privacy.targets if target.level in GIVES_AWAY]
    is_strong = facts.privacy.level == "strong"
    return Verdict(
        code="gives_members_away",
        level="note",
        title="It gives away whom it was trained on"
        if is_strong
        else "It gives away a little of whom it was trained on",
        meaning=" ".join(map(verdict_of, found)),
        remedy=REMEDIES[facts.privacy.level],
    )


def withstood_attacks(facts: RunFacts) -> Iterator[str]:
    """Yield a sentence where attacks were made, and told next to nothing of who was trained on."""
    if facts.privacy is not None and facts.privacy.level == "little":
        yield "Attacks could hardly tell the people it was trained on from others (docs/privacy.md)."
