"""Ages that are not the age at the scan.

UK Biobank has two: field 21003, age when attended, of each visit, and field 21022, age at recruitment. The second is up
to fifteen years below the age at the scan.
"""

import re
from collections.abc import Iterator

from catalog.audit.findings import Finding, percent, rounded
from catalog.audit.scope import BIRTH_YEAR, RECRUITMENT_AGE, SCAN_DATE, Scope

RECRUITMENT_AGE_FIELD = 21022
LATER_DAYS = 548
"""A year and a half: nobody scanned so much later still has the age of the recruitment, in whole years."""
SAME_SHARE = 0.9
"""Share of such samples with the age of the recruitment that no chance explains; the rest may be mistyped."""
TOLERATED_YEARS = 1.6
"""Between an age in whole years and one reckoned from the year of birth: each is up to a year too low, half of which is
expected, and half a year more covers fractions and a scan that was moved."""
WRONG_SHARE = 0.01
"""Share of ages against the year of birth above which they are no slips."""
_MIN_SAMPLES = 20
_DAYS_PER_YEAR, _EPOCH_YEAR = 365.25, 1970
_LOOKS_LIKE_AGE = re.compile(r"(^|_)age($|_)", re.IGNORECASE)
_SAYS_RECRUITMENT = re.compile("recruit|baseline", re.IGNORECASE)


def find_wrong_ages(scope: Scope) -> Iterator[Finding]:
    """Find ages at recruitment where the age at the scan is meant, and ages that do not fit the year of birth."""
    for name in _ages(scope):
        finding = _recruitment_age(scope, name) or _age_against_birth(scope, name)
        if finding is not None:
            yield finding


def _recruitment_age(scope: Scope, name: str) -> Finding | None:
    [(n, num_of_field)] = scope.fetch(
        "SELECT count(*), count(*) FILTER (field = $field) FROM audit_value WHERE name = $name",
        name=name,
        field=RECRUITMENT_AGE_FIELD,
    )
    [(num_later, num_same)] = scope.fetch(_SAME_AGE_SQL, name=name, judge=RECRUITMENT_AGE, days=LATER_DAYS)
    if scope.dictionary[name].field == RECRUITMENT_AGE_FIELD or num_of_field:
        told = f"{name} is made of field {RECRUITMENT_AGE_FIELD}, the age at recruitment, not at the scan."
    elif num_later >= _MIN_SAMPLES and num_same >= SAME_SHARE * num_later:
        told = (
            f"{name} is the age at recruitment in {num_same} of the {num_later} samples scanned a year and a half or "
            "more after it."
        )
    else:
        return None
    return Finding(
        code="recruitment-age",
        severity="critical",
        subject=name,
        message=told,
        remedy='Use field 21003 with policy "same", as mm\'s own dictionary does for age, and run mm ingest again. A '
        "published comparison lost three years of mean absolute error to this field.",
        num_samples=max(num_of_field, num_same),
        numbers={"n": n, "of_field_21022": num_of_field, "scanned_later": num_later, "same": num_same},
    )


def _age_against_birth(scope: Scope, name: str) -> Finding | None:
    [(n, num_wrong, median_years)] = scope.fetch(
        _BIRTH_SQL, name=name, birth=BIRTH_YEAR, scan=SCAN_DATE, tolerated=TOLERATED_YEARS
    )
    if n < _MIN_SAMPLES or not num_wrong:
        return None
    share = num_wrong / n
    return Finding(
        code="age-against-birth-year",
        severity="critical" if share >= WRONG_SHARE else "warning",
        subject=name,
        message=f"{num_wrong} of {n} values of {name} ({percent(share)}) are more than {TOLERATED_YEARS:g} years off "
        f"what the date of the scan and the year of birth give, half of them {median_years:.1f} years or more.",
        remedy="Look which of the three is wrong: an age of another visit, dates of another visit, or eids that two "
        "tables do not share.",
        num_samples=num_wrong,
        numbers=rounded({"n": n, "share": share, "median_years": median_years}),
    )


def _ages(scope: Scope) -> list[str]:
    """Return the features that are meant as the age at the scan."""
    return [
        name
        for name in scope.audited
        if _LOOKS_LIKE_AGE.search(name)
        and not _SAYS_RECRUITMENT.search(f"{name} {scope.dictionary[name].unit}")
        and (name.lower() == "age" or scope.dictionary[name].unit.lower().startswith("year"))
    ]


_SAME_AGE_SQL = """
    SELECT count(*), count(*) FILTER (floor(age.value) = floor(recruitment.value))
    FROM audit_value age
    JOIN audit_value recruitment USING (row)
    JOIN audit_sample USING (row)
    WHERE age.name = $name AND recruitment.name = $judge
        AND coalesce(recruitment.days_from_scan <= -$days, audit_sample.instance >= 2 AND recruitment.field IS NOT NULL)
"""
_BIRTH_SQL = f"""
    SELECT
        count(*), count(*) FILTER (apart > $tolerated),
        quantile_cont(apart, 0.5) FILTER (apart > $tolerated)
    FROM (
        SELECT abs({_EPOCH_YEAR} + scan.value / {_DAYS_PER_YEAR} - birth.value - 1 - age.value) AS apart
        FROM audit_value age
        JOIN audit_value birth USING (row)
        JOIN audit_value scan USING (row)
        WHERE age.name = $name AND birth.name = $birth AND scan.name = $scan
    )
"""
