"""In which other unit a value may have been given, and what turns it into the model's."""

from collections.abc import Iterator

from catalog.tables.units import unit_factor

_CONFUSED = (
    "months",
    "weeks",
    "days",
    "seconds",
    "pounds",
    "grams",
    "metres",
    "cm",
    "mm",
    "g/l",
    "g/dl",
    "mg/dl",
    "umol/l",
)
"""Units that tables of other places have, by spellings of `catalog.tables.units`."""
_BY_SUBSTANCE = {
    "mmol/l": {"mg/dl of cholesterol": 10 / 386.65},
    "%": {"fractions of 1": 100.0},
    "mm": {"inches": 25.4},
}
"""Those that units alone do not tell: the model's unit in lower case, the other one, its factor. Cholesterol has
386.65 g/mol."""


def other_units(unit: str) -> Iterator[tuple[str, float]]:
    """Yield the units that values of a unit are confused with, and what turns them into it.

    >>> dict(other_units("kg"))["pounds"]
    0.45359237
    """
    for other in _CONFUSED:
        factor = unit_factor(other, unit)
        if factor is not None and factor != 1:
            yield other, factor
    yield from _BY_SUBSTANCE.get(unit.strip().lower(), {}).items()
