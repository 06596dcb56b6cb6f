"""UK Biobank's labels of the codes that the synthetic table holds, as the platform's default export has them.

They are written down here apart from the catalogue's own list, so that reading one with the other proves something.
Source: the showcase's codings 9, 10, 90, 100349, 100430, 100605, 100610, 6 and 819.
"""

from mmdata.synth.phenotype import DISEASES, PSYCHOLOGY_FIELDS

_NO_ANSWER = {"-1": "Do not know", "-3": "Prefer not to answer"}
_NONE = {"-7": "None of the above"}
_DATES = {
    "1900-01-01": "Code has no event date",
    "1902-02-02": "Code has event date matching participant's date of birth",
    "2037-07-07": "Code has event date in the future and is presumed to be a place-holder or other system default",
}
_ILLNESSES = {
    "1065": "hypertension",
    "1072": "essential hypertension",
    "1111": "asthma",
    "1226": "hypothyroidism/myxoedema",
    "1265": "migraine",
    "1387": "hayfever/allergic rhinitis",
    "1452": "eczema/dermatitis",
    "1465": "osteoarthritis",
    "1473": "high cholesterol",
}
_CENTRES = {
    "11025": "Cheadle (imaging)",
    "11026": "Reading (imaging)",
    "11027": "Newcastle (imaging)",
    "11028": "Bristol (imaging)",
}
_HANDS = {"1": "Right-handed", "2": "Left-handed", "3": "Use both right and left hands equally"}
_LABELS = {
    31: {"0": "Female", "1": "Male"},
    54: _CENTRES,
    1707: _HANDS | _NO_ANSWER,
    20116: {"0": "Never", "1": "Previous", "2": "Current"} | _NO_ANSWER,
    6150: {"4": "High blood pressure"} | _NONE | _NO_ANSWER,
    6152: {"8": "Asthma", "9": "Hayfever, allergic rhinitis or eczema"} | _NONE | _NO_ANSWER,
    20002: _ILLNESSES,
    **{field: {"0": "No", "1": "Yes"} | _NO_ANSWER for field in PSYCHOLOGY_FIELDS},
    **{disease.date_field: _DATES for disease in DISEASES.values()},
}


def label_of(field: int, text: str) -> str:
    """Return a cell as the platform labels it; what has no label stays as it is.

    >>> label_of(31, "1"), label_of(21003, "63")
    ('Male', '63')
    """
    return _LABELS.get(field, {}).get(text, text)
