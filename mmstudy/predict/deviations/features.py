"""Hold one person's tabular values against what a model takes for granted of them: codes, units, ranges.

A single value in another unit is found where it cannot be in the model's: 756 is no age in years, but 130 pounds are
taken for 130 kg. A whole column (`find_column_deviations`) tells more.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.fields import FeatureDefinition, load_dictionary
from mmbase.disclosure import SMALLEST_COUNT
from mmbase.names import AGE
from mmstudy.models.training_cohort import FeatureCohort
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.deviations.names import deviation
from mmstudy.predict.deviations.units import other_units

_BEYOND_AGES = 0.25
"""Share of the distance from the median age to the tenth youngest (or oldest) by which the range goes beyond these."""
_YEARS_OF_BIRTH = (1900, 2030)
_FAR_SPREADS, _NEAR_SPREADS = 2.0, 1.0
"""A column's median this far from the training participants' is in another unit, if in that it is this near."""


def find_feature_deviations(
    values: Mapping[str, float], fields: Mapping[str, FeatureDefinition], cohorts: Mapping[str, FeatureCohort]
) -> list[Deviation]:
    """Return in what a person's values differ from what a model takes for granted.

    Parameters
    ----------
    values
        By name, in what should be the model's units; NaN where missing. ``age`` too where it is known, also where the
        model does not see it.
    fields
        How the model's features are defined.
    cohorts
        What is known of the training participants' values; empty where they are not described.
    """
    definitions = {**load_dictionary(), **fields}
    checked = [
        _Value(name, value, definitions[name], cohorts.get(name), num_limits=2 * len(values))
        for name, value in values.items()
        if name in definitions and not math.isnan(value)
    ]
    return [found for one in checked if (found := _find(one)) is not None]


def find_column_deviations(
    name: str, values_N: NDArray[np.float64], definition: FeatureDefinition, cohort: FeatureCohort | None
) -> list[Deviation]:
    """Return whether a feature of several people, together, is in another unit than the model's.

    Fewer than ten people say nothing.
    """
    known = values_N[np.isfinite(values_N)]
    if cohort is None or definition.kind != "continuous" or len(known) < SMALLEST_COUNT:
        return []
    median = float(np.median(known))
    if _spreads(median, cohort) <= _FAR_SPREADS:
        return []
    for unit, factor in other_units(definition.unit):
        if _spreads(median * factor, cohort) <= _NEAR_SPREADS:
            return [_other_unit(name, definition, f"a median of {median:.4g}, as {unit} have", factor)]
    return []


def age_range(cohort: FeatureCohort) -> tuple[float, float] | None:
    """Return the ages that a model was trained on; None where too few people tell them."""
    if cohort.low is None or cohort.high is None:
        return None
    median = cohort.usual.median
    return cohort.low - _BEYOND_AGES * (median - cohort.low), cohort.high + _BEYOND_AGES * (cohort.high - median)


@dataclass(frozen=True, slots=True)
class _Value:
    """One value and what is known of its feature."""

    name: str
    value: float
    definition: FeatureDefinition
    cohort: FeatureCohort | None
    num_limits: int

    @property
    def plausible(self) -> tuple[float, float]:
        return self.definition.plausible or (-math.inf, math.inf)

    @property
    def usual(self) -> tuple[float, float]:
        """Return between which values the training participants' lie, but for what a limit allows beyond them."""
        if self.cohort is None:
            return -math.inf, math.inf
        known = age_range(self.cohort) if self.name == AGE else None
        return known or self.cohort.usual.limits(self.num_limits)

    def fits(self, value: float) -> bool:
        (least, most), (low, high) = self.plausible, self.usual
        return least <= value <= most and low <= value <= high


def _find(one: _Value) -> Deviation | None:
    if math.isinf(one.value):
        return deviation("out-of-range", one.name, expected="a number", got="infinity", remedy="Correct the table.")
    if one.definition.kind == "binary":
        return None if one.value in (0, 1) else _wrong_code(one)
    return None if one.fits(one.value) else _explained(one) or _beyond(one)


def _explained(one: _Value) -> Deviation | None:
    """Return the mismatch of a value that would fit in another unit; None where none would."""
    unit = one.definition.unit
    if unit == "years" and _YEARS_OF_BIRTH[0] <= one.value <= _YEARS_OF_BIRTH[1]:
        return _other_unit(one.name, one.definition, f"{one.value:g}, as a year of birth", None)
    for other, factor in other_units(unit):
        if one.fits(one.value * factor):
            return _other_unit(one.name, one.definition, f"{one.value:g}, which would fit in {other}", factor)
    return None


def _beyond(one: _Value) -> Deviation:
    (least, most), (low, high), unit = one.plausible, one.usual, one.definition.unit
    if not least <= one.value <= most:
        return deviation(
            "implausible-value",
            one.name,
            expected=f"{least:g} to {most:g} {unit}",
            got=f"{one.value:g}",
            remedy="Correct the value or leave it out.",
        )
    return deviation(
        "outside-age-range" if one.name == AGE else "outside-training-range",
        one.name,
        expected=f"{low:.4g} to {high:.4g} {unit}, as among the people whom the model was trained on",
        got=f"{one.value:g}",
        remedy="The model was not tested on such people. Do not use its prediction, or check the value first.",
    )


def _spreads(value: float, cohort: FeatureCohort) -> float:
    spread = max(cohort.usual.below, cohort.usual.above)
    return abs(value - cohort.usual.median) / spread if spread > 0 else 0.0


def _other_unit(name: str, definition: FeatureDefinition, got: str, factor: float | None) -> Deviation:
    convert = "Convert it" if factor is None else f"Multiply it by {factor:.6g}"
    return deviation(
        "other-unit", name, expected=definition.unit, got=got, remedy=f"{convert}, or correct the table's column."
    )


def _wrong_code(one: _Value) -> Deviation:
    return deviation(
        "wrong-code",
        one.name,
        expected=f"0 or 1 ({one.definition.unit})",
        got=f"{one.value:g}",
        remedy="Recode the column, or leave the value out.",
    )
