"""Features by the names of mm's field dictionary, as a study's own table has them.

Values are UK Biobank's codes as they stand; what is missing is empty. Of several visits, the imaging visit's counts, or
the last one before it that has a value.
"""

from mmdata.synth.phenotype import DISEASES, NUM_SLOTS, UNKNOWN_DATES, Disease

_FIELDS = {
    "sex": 31,
    "age": 21003,
    "weight": 21002,
    "handedness": 1707,
    "smoking": 20116,
    "body_fat": 23099,
    "Hb": 30020,
    "HDL": 30760,
    "LDL": 30780,
    "hba1c": 30750,
    "reaction_time": 20023,
    "mood_swings": 1920,
    "miserableness": 1930,
    "irritability": 1940,
    "sensitivity": 1950,
    "fed_up": 1960,
    "nervous": 1970,
    "anxious": 1980,
    "tense": 1990,
    "worry": 2000,
    "lonely": 2020,
    "guilty": 2030,
    "bmi": 21001,
    "neuroticism": 20127,
    "haematocrit": 30030,
    "head_size": 25000,
    "head_motion": 25741,
}
_INSTANCES = (2, 1, 0)


def named_features(cells: dict[str, str]) -> dict[str, str]:
    """Return a participant's features by name.

    Parameters
    ----------
    cells
        Text by ukbconv's column name.
    """
    values = {name: _latest(cells, number) for name, number in _FIELDS.items()}
    return values | {name: str(int(_has(cells, disease))) for name, disease in DISEASES.items()}


def _latest(cells: dict[str, str], number: int) -> str:
    for instance in _INSTANCES:
        value = cells.get(f"{number}-{instance}.0", "")
        if value and not value.startswith("-"):  # codes of missing answers are negative, these features are not
            return value
    return ""


def _has(cells: dict[str, str], disease: Disease) -> bool:
    field, code = disease.diagnosed
    onset = cells.get(f"{disease.date_field}-0.0", "")
    return (
        any(str(illness) in _codes(cells, 20002) for illness in disease.illness_codes)
        or str(code) in _codes(cells, field)
        or bool(onset and onset not in UNKNOWN_DATES)
    )


def _codes(cells: dict[str, str], field: int) -> set[str]:
    return {cells.get(f"{field}-{instance}.{slot}", "") for instance in _INSTANCES for slot in range(NUM_SLOTS[field])}
