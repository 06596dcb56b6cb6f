"""Units of measure: how a number in one becomes a number in another, where the substance does not matter."""

import re
import unicodedata

_YEAR_SECONDS = 365.25 * 86_400
_UNITS: dict[str, dict[str, float]] = {
    "time": {
        "year years yr yrs y annum": _YEAR_SECONDS,
        "month months mo mos mth mths": _YEAR_SECONDS / 12,
        "week weeks wk wks": 7 * 86_400,
        "day days d": 86_400,
        "hour hours hr hrs h": 3_600,
        "minute minutes min mins": 60,
        "second seconds sec secs s": 1,
        "millisecond milliseconds msec ms": 0.001,
    },
    "mass": {
        "kilogram kilograms kgs kg": 1,
        "gram grams g": 0.001,
        "pound pounds lb lbs": 0.45359237,
    },
    "length": {
        "metre metres meter meters m": 1000,
        "centimetre centimetres centimeter centimeters cm": 10,
        "millimetre millimetres millimeter millimeters mm": 1,
    },
    "mass in volume": {
        "g/dl": 1,
        "g/l": 0.1,
        "mg/dl": 1e-3,
        "mg/l ug/ml μg/ml": 1e-4,
        "ug/dl μg/dl": 1e-6,
        "ug/l μg/l ng/ml": 1e-7,
        "ng/dl": 1e-9,
        "ng/l pg/ml": 1e-10,
    },
    "amount in volume": {"mmol/l mm": 1, "umol/l μmol/l": 1e-3, "nmol/l": 1e-6, "pmol/l": 1e-9},
    "share": {"% percent": 1},
    "mass for area": {"kg/m2 kg/m^2": 1},
    "amount for amount": {"mmol/mol": 1},
}
"""By what is measured: spellings in lower case, and the size."""
_PADDING = re.compile(r"^in |( old| of age| \(.*)$")
_SAID_IN_TEXT = re.compile(r"(?:\bin (?:\w+ )?|[(\[]\s*)([a-z]{4,})\b")


def unit_factor(given: str, wanted: str) -> float | None:
    """Return what a number in one unit is multiplied by to be in another; None where that cannot be told.

    Words that are no known unit (points, score) are taken to mean the same; ratios (u/l, points/hour) never are.

    Parameters
    ----------
    wanted
        A feature's unit; what follows a comma is no part of it.

    >>> unit_factor("Months", "years, at recruitment") == 1 / 12, unit_factor("stone", "kg")
    (True, None)
    """
    here, there = _fold(given), _fold(wanted.partition(",")[0])
    if here == there or not (here and there):
        return 1.0
    sizes, their_sizes = _sizes(here), _sizes(there)
    if not (sizes or their_sizes):
        return None if "/" in here or "/" in there else 1.0
    shared = sizes.keys() & their_sizes.keys()
    return next((sizes[measure] / their_sizes[measure] for measure in shared), None)


def contradicting_unit(text: str, wanted: str) -> str | None:
    """Return the unit that a description speaks of in place of a feature's own; None where it speaks of none.

    >>> contradicting_unit("Age at the scan, in months", "years"), contradicting_unit("Age on the day", "years")
    ('months', None)
    """
    their_sizes = _sizes(_fold(wanted.partition(",")[0]))
    words = _SAID_IN_TEXT.findall(text.lower())
    units = [word for word in words if their_sizes.keys() & _sizes(word).keys()]
    is_own = any(unit_factor(unit, wanted) == 1 for unit in units)
    return None if is_own or not units else units[0]


def _fold(unit: str) -> str:
    text = unicodedata.normalize("NFKC", unit).lower().strip(" .()[]")
    return _PADDING.sub("", text).strip()


def _sizes(unit: str) -> dict[str, float]:
    """Return the size of a unit by what it may measure."""
    return {
        measure: size
        for measure, spelled in _UNITS.items()
        for spellings, size in spelled.items()
        if unit in spellings.split(" ")
    }
