import pytest

from catalog.tables.units import contradicting_unit, unit_factor


@pytest.mark.parametrize(
    ("given", "wanted", "factor"),
    [
        ("years", "years", 1),
        ("Year", "years", 1),
        ("yrs.", "years", 1),
        ("[years]", "years", 1),
        ("years old", "years", 1),
        ("years (at scan)", "years", 1),
        ("years", "years, at recruitment", 1),
        ("months", "years", 1 / 12),
        ("in months", "years", 1 / 12),
        ("Months of age", "years", 1 / 12),
        ("weeks", "years", 7 / 365.25),
        ("days", "years", 1 / 365.25),
        ("g", "kg", 0.001),
        ("lbs", "kg", 0.45359237),
        ("s", "ms", 1000),
        ("g/L", "g/dL", 0.1),
        ("kg/m²", "kg/m2", 1),
        ("percent", "%", 1),
        ("mM", "mmol/L", 1),
        ("cm", "mm, resting state", 10),
        ("", "years", 1),
        ("months", "", 1),
        ("points", "score 0 to 12", 1),
        ("stone", "kg", None),
        ("gestational weeks", "years", None),
        ("months", "kg", None),
        ("mg/dL", "mmol/L", None),
        ("months", "score 0 to 12", None),
        ("decades", "years", None),
        ("ng/mL", "ug/L", 1),
        ("µg/dL", "ng/mL", 10),
        ("pmol/L", "nmol/L", 0.001),
        ("ng/mL", "nmol/L", None),
        ("U/L", "nkat/L", None),
        ("words", "words/minute", None),
    ],
)
def test_a_unit_becomes_another_of_what_it_measures_or_cannot_be_told(
    given: str, wanted: str, factor: float | None
) -> None:
    assert unit_factor(given, wanted) == (None if factor is None else pytest.approx(factor, rel=1e-12))


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("Age of the participant in months", "months"),
        ("Age (months)", "months"),
        ("Age in completed weeks", "weeks"),
        ("Age in years", None),
        ("Age in years (months are rounded)", None),
        ("Age at the day of the scan", None),
        ("Age, in kilograms", None),
        ("", None),
    ],
)
def test_a_description_contradicts_a_unit_where_it_speaks_of_another_of_its_kind(text: str, unit: str | None) -> None:
    assert contradicting_unit(text, "years") == unit
