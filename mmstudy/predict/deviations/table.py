"""Whether a table has the fields that a model's features are made of, or others that are taken for them."""

from collections.abc import Collection, Mapping

from catalog.fields import FeatureDefinition
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


def find_table_deviations(table_fields: Collection[int], fields: Mapping[str, FeatureDefinition]) -> list[Deviation]:
    """Return which fields of a table seem to stand for others that the model wants and the table lacks.

    Parameters
    ----------
    table_fields
        UK Biobank field numbers of the table's columns.
    fields
        How the model's features are defined.
    """
    return [
        deviation(
            "wrong-field",
            name,
            expected=f"field {definition.field}",
            got=f"no such column, but field {other} ({words})",
            remedy=f"Add field {definition.field} to the table, or accept that {name} counts as missing.",
        )
        for name, definition in fields.items()
        if definition.field is not None and definition.field not in table_fields
        for other, words in CONFUSED.get(definition.field, {}).items()
        if other in table_fields
    ]
