"""Findings as a table for people."""

from collections.abc import Sequence

from rich.text import Text

from catalog.audit.findings import SEVERITIES, Finding, count_findings
from catalog.audit.reach import Reach
from mmbase.plain_table import PlainTable, plain_table

_STYLES = {"critical": "bold red", "warning": "yellow", "note": ""}


def finding_table(findings: Sequence[Finding]) -> PlainTable:
    """Show findings in their order: how bad, about what, what was found, what to do."""
    rows = [
        (
            Text(finding.severity, style=_STYLES[finding.severity]),
            *(finding.code, finding.subject, finding.message, finding.remedy),
        )
        for finding in findings
    ]
    return plain_table(("severity", "finding", "about", "what was found", "what to do"), rows, whole=["finding"])


def urgent_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings that ask for action: all but notes."""
    return [finding for finding in findings if finding.severity != "note"]


def reach_table(reaches: Sequence[Reach]) -> PlainTable:
    """Show what each check can find."""
    rows = [(", ".join(reach.codes), reach.finds) for reach in reaches]
    return plain_table(("finding", "what is found in a study of this size"), rows)


def finding_summary(findings: Sequence[Finding]) -> str:
    """Say how many findings of each severity there are.

    >>> finding_summary([])
    'Nothing was found.'
    """
    if not findings:
        return "Nothing was found."
    counts = count_findings(findings)
    return ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES) + "."
