"""In which other unit a value may have been given: what it has to be multiplied by to be in the model's.

Factors are exact, or follow from molar masses: cholesterol 386.65 g/mol.
"""

from collections.abc import Iterator

_FACTORS = {
    "years": {"months": 1 / 12, "weeks": 7 / 365.25, "days": 1 / 365.25},
    "kg": {"pounds": 0.45359237, "grams": 0.001},
    "cm": {"inches": 2.54, "metres": 100.0, "millimetres": 0.1},
    "mm": {"cm": 10.0, "inches": 25.4},
    "ms": {"seconds": 1000.0},
    "%": {"a fraction of 1": 100.0},
    "g/dl": {"g/l": 0.1},
    "mmol/l": {"mg/dl of cholesterol": 10 / 386.65},
}
"""The model's unit, in lower case, to another unit and its factor."""


def other_units(unit: str) -> Iterator[tuple[str, float]]:
    """Yield the units that values of a unit are confused with, and what turns them into it.

    >>> dict(other_units("kg"))["pounds"]
    0.45359237
    """
    yield from _FACTORS.get(unit.strip().lower(), {}).items()
