"""Whether a table has the fields that a model's features are made of, or others that are taken for them."""

from collections.abc import Mapping, Sequence

from catalog.fields import FeatureDefinition
from catalog.tables.headers import TableHeader, find_fields
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.deviations.names import deviation

CONFUSED = {
    21003: {21022: "age at recruitment, years before the imaging visit", 34: "year of birth"},
    21002: {23098: "weight by impedance", 12143: "weight before imaging"},
    31: {22001: "genetic sex"},
    21001: {23104: "body mass index by impedance"},
    30750: {30740: "glucose"},
    30780: {30690: "total cholesterol", 30760: "HDL cholesterol"},
    30760: {30690: "total cholesterol", 30780: "LDL cholesterol"},
}
"""UK Biobank field to those that are taken for it. Source: UK Biobank's showcase."""


def find_table_deviations(headers: Sequence[TableHeader], fields: Mapping[str, FeatureDefinition]) -> list[Deviation]:
    """Return which fields of tables seem to stand for others that the model wants and no table has.

    Parameters
    ----------
    headers
        Of all tables that features are made of.
    fields
        How the model's features are defined.
    """
    there = {column.field for header in headers for column in find_fields(header)}
    named = {name.lower() for header in headers for name in header.names}
    return [
        deviation(
            "wrong-field",
            name,
            expected=f"field {definition.field}",
            got=f"no such column, but field {other} ({words})",
            remedy=f"Add field {definition.field} to the table. If you allow it, {name} counts as missing.",
        )
        for name, definition in fields.items()
        if definition.field is not None and definition.field not in there
        if named.isdisjoint((name.lower(), *definition.names))
        for other, words in CONFUSED.get(definition.field, {}).items()
        if other in there
    ]
