"""Labels that were taken at another visit than the image."""

from collections.abc import Iterator

from catalog.audit.findings import Finding, percent, rounded
from catalog.audit.scope import BIRTH_YEAR, RECRUITMENT_AGE, Scope
from catalog.fields import FeatureDefinition

LONG_GAP_DAYS = 731
"""Two years: half of the labels from further away tell of another stage of life than the scan."""
ASSAY_FIELDS = range(30000, 31000)
"""UK Biobank's blood and urine assays. They were not made at imaging visits, so that their age is known."""
_MIN_SAMPLES = 20


def find_other_visits(scope: Scope) -> Iterator[Finding]:
    """Find values of another visit though the imaging visit has one of its own.

    That it has shows where the dictionary allows no other (policy ``same``), and, for the nearest value, where another
    sample of the same participant was given the value of this very visit.
    """
    for policy, query in (("same", _SAME_SQL), ("nearest", _SWAPPED_SQL)):
        names = [
            name
            for name in scope.audited
            if scope.dictionary[name].policy == policy and scope.dictionary[name].field is not None
        ]
        for name, num_other in scope.fetch(query, names=names):
            yield Finding(
                code="label-of-another-visit",
                severity="critical",
                subject=name,
                message=f"{num_other} values of {name} are of another visit than the image, though the imaging visit "
                "has one.",
                remedy="Run mm ingest again with the tables: it derives the values again. If they stay, look for a "
                "table whose instances are mixed up.",
                num_samples=num_other,
                numbers={"other_visit": num_other, "policy": policy},
            )


def find_date_gaps(scope: Scope) -> Iterator[Finding]:
    """Tell how far from the scan values were taken, and warn where labels are years away."""
    names = [name for name in scope.audited if name not in (RECRUITMENT_AGE, BIRTH_YEAR)]
    for name, n, num_dated, num_other, median_days, p95_days in scope.fetch(_GAPS_SQL, names=names):
        is_long = num_dated >= _MIN_SAMPLES and median_days > LONG_GAP_DAYS
        told = f"{percent(num_other / n)} of the {n} values of {name} are of another visit than the scan's"
        numbers = {"n": n, "other_visit_share": num_other / n}
        if num_dated:
            told += f" (days between: median of all {median_days:.0f}, 95th percentile {p95_days:.0f})"
            numbers |= {"median_days": median_days, "p95_days": p95_days}
        yield Finding(
            code="date-gap",
            severity="warning" if is_long and _should_be_near(scope, name) else "note",
            subject=name,
            message=f"{told}.",
            remedy=_gap_remedy(scope.dictionary[name], is_long=is_long),
            num_samples=num_other,
            numbers=rounded(numbers),
        )


def _gap_remedy(definition: FeatureDefinition, *, is_long: bool) -> str:
    if not _is_nearest(definition):
        return "Nothing has to be done: the dictionary asks for it."
    if not is_long:
        return "Nothing has to be done."
    return (
        "Images cannot tell more than what lasts so long: say the gap with the result, or choose a target that was "
        "measured at the imaging visit."
    )


def _should_be_near(scope: Scope, name: str) -> bool:
    """Tell whether a long gap is news: for a target whose nearest value was asked for."""
    definition = scope.dictionary[name]
    return name in scope.targets and _is_nearest(definition) and (name == scope.target or not _is_assay(definition))


def _is_nearest(definition: FeatureDefinition) -> bool:
    return definition.field is not None and definition.policy == "nearest"


def _is_assay(definition: FeatureDefinition) -> bool:
    return definition.field in ASSAY_FIELDS


_SAME_SQL = """
    SELECT name, count(*) AS num_other
    FROM audit_value taken JOIN audit_sample USING (row)
    WHERE list_contains($names, name) AND taken.instance <> audit_sample.instance
    GROUP BY name
"""
_SWAPPED_SQL = """
    WITH returned AS (SELECT participant_key FROM audit_sample GROUP BY participant_key HAVING count(*) > 1),
    taken AS (
        SELECT name, participant_key, sample.instance AS scan_instance, value.instance AS value_instance
        FROM audit_value value JOIN audit_sample sample USING (row) SEMI JOIN returned USING (participant_key)
        WHERE list_contains($names, name)
    ),
    owned AS (SELECT DISTINCT name, participant_key, value_instance AS scan_instance FROM taken)
    SELECT name, count(*) AS num_other
    FROM taken SEMI JOIN owned USING (name, participant_key, scan_instance)
    WHERE value_instance <> scan_instance
    GROUP BY name
"""
_GAPS_SQL = """
    SELECT
        name, count(*), count(days_from_scan),
        count(*) FILTER (taken.instance <> audit_sample.instance) AS num_other,
        quantile_cont(abs(days_from_scan), 0.5), quantile_cont(abs(days_from_scan), 0.95)
    FROM audit_value taken JOIN audit_sample USING (row)
    WHERE list_contains($names, name)
    GROUP BY name HAVING num_other > 0 OR max(abs(days_from_scan)) > 0
"""
