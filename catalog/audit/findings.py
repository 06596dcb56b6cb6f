"""Findings: what an audit says, each with how bad it is, numbers, and what to do.

Terms
-----
critical   a result would be wrong: a run is refused.
warning    a result is likely to mislead; look before you trust it.
note       worth knowing; nothing is wrong.
code       what kind of finding it is, for ever the same words.
subject    the feature, modality or table it is about, or what of the study.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Severity: TypeAlias = Literal["critical", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "note")
"""Worst first."""
Number: TypeAlias = float | int | str


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing an audit found."""

    code: str
    """In kebab-case."""
    severity: Severity
    subject: str
    message: str
    """What was found, with its main numbers; names samples at most by their sample id."""
    remedy: str
    """What to do."""
    num_samples: int
    """Samples it concerns."""
    numbers: Mapping[str, Number] = field(default_factory=dict)
    """Everything that was counted or measured, by name."""


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings worst first; of one severity by code, then those that concern most samples."""
    return sorted(
        findings,
        key=lambda finding: (
            SEVERITIES.index(finding.severity),
            finding.code,
            -finding.num_samples,
            finding.subject,
        ),
    )


def count_findings(findings: Sequence[Finding]) -> dict[Severity, int]:
    """Return how many findings there are of each severity.

    >>> count_findings([])
    {'critical': 0, 'warning': 0, 'note': 0}
    """
    counts = Counter(finding.severity for finding in findings)
    return {severity: counts[severity] for severity in SEVERITIES}


def percent(share: float) -> str:
    """Write a share as a percentage with as many digits as tell it from none and from all.

    >>> percent(0.1234), percent(0.00042), percent(1.0)
    ('12.3 %', '0.042 %', '100 %')
    """
    value = 100 * share
    return f"{value:.3g} %" if value < 99.95 or value == 100 else f"{value:.2f} %"


def rounded(numbers: Mapping[str, Any]) -> dict[str, Number]:
    """Return numbers with four digits that matter, which is more than any of them is worth.

    >>> rounded({"n": 12345, "share": 0.123456})
    {'n': 12345, 'share': 0.1235}
    """
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in numbers.items()}
