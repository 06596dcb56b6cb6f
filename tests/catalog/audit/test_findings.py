import json
from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from catalog.audit.findings import SEVERITIES, Finding, count_findings, percent, rounded, sort_findings
from catalog.audit.report import finding_summary, finding_table

FINDINGS = st.lists(
    st.builds(
        Finding,
        code=st.sampled_from(["split-shift", "date-gap"]),
        severity=st.sampled_from(SEVERITIES),
        subject=st.sampled_from(["age", "sex"]),
        message=st.just("Found [bold]this[/bold] [features.age]."),
        remedy=st.just("Mend it."),
        num_samples=st.integers(0, 9),
        numbers=st.just({"n": 1, "share": 0.5}),
    ),
    max_size=12,
)


@given(FINDINGS, st.randoms())
def test_the_order_is_worst_first_and_does_not_depend_on_what_came_first(found: list[Finding], random: object) -> None:
    ordered = sort_findings(found)
    assert [SEVERITIES.index(f.severity) for f in ordered] == sorted(SEVERITIES.index(f.severity) for f in found)
    assert sort_findings(found[::-1]) == ordered or len({(f.code, f.subject) for f in found}) < len(found)
    assert sorted(map(repr, ordered)) == sorted(map(repr, found))


@given(FINDINGS)
def test_the_table_shows_every_finding_and_takes_no_bracket_for_markup(found: list[Finding]) -> None:
    with Console(width=300) as console, console.capture() as capture:
        console.print(finding_table(found))
    assert capture.get().count("Found [bold]this[/bold] [features.age].") == len(found)


@given(FINDINGS)
def test_findings_are_plain_json(found: list[Finding]) -> None:
    assert json.loads(json.dumps([asdict(finding) for finding in found])) == [asdict(finding) for finding in found]


@given(FINDINGS)
def test_the_summary_counts_all(found: list[Finding]) -> None:
    counts = count_findings(found)
    assert sum(counts.values()) == len(found)
    told = finding_summary(found)
    assert all(f"{number} {severity}" in told for severity, number in counts.items()) or not found


def test_a_share_that_is_not_all_is_not_told_as_all() -> None:
    assert [percent(share) for share in (0, 0.5, 0.9996, 0.99996, 1)] == ["0 %", "50 %", "99.96 %", "100.00 %", "100 %"]


def test_counts_stay_whole_and_measures_are_rounded() -> None:
    assert rounded({"n": 123456, "r": 0.123456, "code": "a"}) == {"n": 123456, "r": 0.1235, "code": "a"}
