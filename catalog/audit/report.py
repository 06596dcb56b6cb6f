"""Findings as a table for people."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from catalog.audit.findings import SEVERITIES, Finding, count_findings

_STYLES = {"critical": "bold red", "warning": "yellow", "note": ""}


def finding_table(findings: Sequence[Finding]) -> Table:
    """Show findings in their order: how bad, about what, what was found, what to do."""
    table = Table(box=None, pad_edge=False)
    for title in ("severity", "finding", "about", "what was found", "what to do"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        severity = Text(finding.severity, style=_STYLES[finding.severity])
        cells = (finding.code, finding.subject, finding.message, finding.remedy)
        table.add_row(severity, *map(Text, cells))  # as text: brackets in a message are no markup
    return table


def finding_summary(findings: Sequence[Finding]) -> str:
    """Say how many findings of each severity there are.

    >>> finding_summary([])
    'Nothing was found.'
    """
    if not findings:
        return "Nothing was found."
    counts = count_findings(findings)
    return ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES) + "."
