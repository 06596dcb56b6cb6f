"""What checks of exported summaries found, in lines for people."""

from collections.abc import Sequence

from mmstudy.privacy.disclosure import Finding

MOST_SHOWN = 20
NOTHING = "No rule speaks against what was exported so far. What was sent by other ways is not on record."
ADVICE = (
    "Pass on one at most of two groups that differ by so few. What has left already cannot be called back: tell who "
    "released it. docs/privacy.md explains each rule."
)


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """Return a line for each finding, the first of many, and what to do."""
    if not findings:
        return [NOTHING]
    lines = [f"{finding.rule}: {' and '.join(finding.summaries)}. {finding.meaning}" for finding in findings]
    more = len(lines) - MOST_SHOWN
    return [*lines[:MOST_SHOWN], *([f"{more} more: --json has all."] if more > 0 else []), ADVICE]


def warning_of_exports(findings: Sequence[Finding]) -> list[str]:
    """Return a line for whoever has just exported something; none where no rule speaks against it."""
    if not findings:
        return []
    rules = ", ".join(dict.fromkeys(finding.rule for finding in findings))
    return [f"What was exported so far, this with it, breaks rules of disclosure ({rules}): see mm privacy --exports."]
