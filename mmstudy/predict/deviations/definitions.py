"""Hold how a study makes its features against how a model's were made: a name alone says neither field nor unit."""

from collections.abc import Iterator, Mapping

from catalog.fields import FeatureDefinition
from catalog.tables.units import unit_factor
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.deviations.names import deviation

_AGAIN = "Define {name} in study.toml as the model's contract does, and import the tables again."


def find_definition_deviations(
    expected: Mapping[str, FeatureDefinition], got: Mapping[str, FeatureDefinition]
) -> list[Deviation]:
    """Return which features a study makes of other fields, in other units or with other codes than a model's were.

    Parameters
    ----------
    expected
        The model's features by name.
    got
        The study's; one that is not there is missing, which is told elsewhere.
    """
    return [one for name in expected if name in got for one in _compare(name, expected[name], got[name])]


def _compare(name: str, expected: FeatureDefinition, got: FeatureDefinition) -> Iterator[Deviation]:
    remedy = _AGAIN.format(name=name)
    if (expected.field, expected.any_of) != (got.field, got.any_of):
        yield deviation("wrong-field", name, expected=_told_fields(expected), got=_told_fields(got), remedy=remedy)
    if expected.unit != got.unit and unit_factor(got.unit, expected.unit) != 1:
        yield deviation(
            "other-unit", name, expected=expected.unit or "no unit", got=got.unit or "no unit", remedy=remedy
        )
    if (expected.recode, expected.kind) != (got.recode, got.kind):
        yield deviation("wrong-code", name, expected="the codes of its contract", got="others", remedy=remedy)


def _told_fields(definition: FeatureDefinition) -> str:
    return f"field {', '.join(map(str, definition.fields))}" + " and their codes" * bool(definition.any_of)
