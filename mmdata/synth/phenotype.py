"""What the table says of a participant: one text per column, made from sex, age, and a few latent traits.

Planted: weight, body fat, HDL and haemoglobin differ by sex; body fat and weight share adiposity, HDL falls with it;
LDL, HbA1c, reaction time and hypertension rise weakly with age; the psychology items share one latent trait.
Sources: the UK Biobank showcase's codings 100349, 13, 90, 100430, 100605, 100610 (missing), 6 (20002), 819 (dates).
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from mmdata.synth.participant import Participant, age_at
from mmdata.synth.seeds import generator

PSYCHOLOGY_FIELDS = (1920, 1930, 1940, 1950, 1960, 1970, 1980, 1990, 2000, 2010, 2020, 2030)
CENTRES = (11025, 11026, 11027, 11028)
TABLE_POSITION_FIELDS = (25756, 25757, 25758, 25759)
NUM_SLOTS = {20002: 4, 6150: 4, 6152: 5}
"""Array columns per instance of the multi-select fields."""
_BLANK_SHARE = 0.02
_CODED_MISSING_SHARE = 0.02
UNKNOWN_DATES = ("1900-01-01", "1902-02-02", "2037-07-07")
"""What stands for a date that is not known."""
_IMAGING_EPOCH = date(2014, 5, 1)
_IMAGING_DAYS = 3_500
_DAYS_PER_YEAR = 365.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A number that is measured at assessments."""

    women: float
    """Mean of women aged 60, in the field's unit."""
    men: float
    spread: float
    """Standard deviation between people."""
    instances: tuple[int, ...]
    per_year: float = 0.0
    adiposity: float = 0.0
    """Change per standard deviation of adiposity."""
    decimals: int = 2


MEASURES = {
    21002: Measure(women=70.0, men=85.0, spread=6.0, adiposity=10.5, per_year=-0.1, decimals=1, instances=(0, 1, 2, 3)),
    21001: Measure(women=26.6, men=27.6, spread=1.6, adiposity=3.6, decimals=4, instances=(0, 1, 2, 3)),
    23099: Measure(women=36.0, men=25.0, spread=2.5, adiposity=5.0, per_year=0.08, decimals=1, instances=(0, 1, 2, 3)),
    30020: Measure(women=13.5, men=15.0, spread=0.85, per_year=-0.01, instances=(0, 1, 2)),
    30030: Measure(women=39.5, men=43.5, spread=2.6, instances=(0, 1, 2)),
    30760: Measure(women=1.60, men=1.28, spread=0.26, adiposity=-0.13, decimals=3, instances=(0, 1)),
    30780: Measure(women=3.60, men=3.50, spread=0.75, per_year=0.02, decimals=3, instances=(0, 1)),
    30750: Measure(women=35.5, men=36.0, spread=4.0, adiposity=1.2, per_year=0.18, decimals=1, instances=(0, 1)),
    20023: Measure(women=565.0, men=545.0, spread=85.0, per_year=4.5, decimals=0, instances=(0, 1, 2, 3)),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Disease:
    """A derived target and the three fields it may be recorded in."""

    share_at_60: float
    log_odds_per_year: float
    illness_codes: tuple[int, ...]
    """In field 20002."""
    diagnosed: tuple[int, int]
    """Multi-select field and its code."""
    date_field: int


DISEASES = {
    "hypertension": Disease(
        share_at_60=0.28, log_odds_per_year=0.05, illness_codes=(1065, 1072), diagnosed=(6150, 4), date_field=131286
    ),
    "asthma": Disease(
        share_at_60=0.13, log_odds_per_year=0.0, illness_codes=(1111,), diagnosed=(6152, 8), date_field=131494
    ),
    "atopy": Disease(
        share_at_60=0.24, log_odds_per_year=-0.01, illness_codes=(1387, 1452), diagnosed=(6152, 9), date_field=131720
    ),
}
_OTHER_ILLNESSES = (1473, 1226, 1265, 1465)


def draw_row(seed: int, participant: Participant, instances: tuple[int, ...]) -> dict[str, str]:
    """Draw a participant's cells by column name; a column that is not there is empty.

    Parameters
    ----------
    instances
        Assessments the participant came to.
    """
    rng = generator(seed, "phenotype", participant.index)
    ages_years = {instance: age_at(seed, participant, instance) for instance in instances}
    cells = _constitution(rng, participant, ages_years)
    cells |= _measures(rng, participant, ages_years)
    cells |= _psychology(rng, participant, ages_years)
    cells |= _diseases(rng, participant, ages_years)
    cells |= _imaging(rng, participant, instances)
    return cells


def _constitution(rng: np.random.Generator, participant: Participant, ages: dict[int, float]) -> dict[str, str]:
    imaged_on = _IMAGING_EPOCH + timedelta(days=int(rng.integers(_IMAGING_DAYS)))
    handedness = int(rng.choice([1, 2, 3], p=[0.89, 0.095, 0.015]))
    smoking = int(rng.choice([0, 1, 2], p=[0.6, 0.33, 0.07]))
    centre = int(rng.choice(CENTRES))
    born_on = imaged_on - timedelta(days=round(participant.age_years * _DAYS_PER_YEAR))
    cells = {
        "31-0.0": str(int(participant.is_male)),
        "34-0.0": str(born_on.year),
        "21022-0.0": str(int(participant.recruitment_age_years)),
    }
    for instance, age in ages.items():
        came_on = imaged_on + timedelta(days=round((age - participant.age_years) * _DAYS_PER_YEAR))
        cells[f"21003-{instance}.0"] = str(int(age))
        cells[f"53-{instance}.0"] = came_on.isoformat()
        cells[f"54-{instance}.0"] = str(centre)
        cells[f"20116-{instance}.0"] = _coded(rng, smoking, (-3,))
        if instance < 3:
            cells[f"1707-{instance}.0"] = _coded(rng, handedness, (-3,))
    return cells


def _measures(rng: np.random.Generator, participant: Participant, ages: dict[int, float]) -> dict[str, str]:
    adiposity = rng.normal()
    cells = {}
    for field, measure in MEASURES.items():
        own = rng.normal(0.0, measure.spread) + measure.adiposity * adiposity
        mean = measure.men if participant.is_male else measure.women
        for instance in (i for i in measure.instances if i in ages):
            value = mean + own + measure.per_year * (ages[instance] - 60.0) + rng.normal(0.0, 0.15 * measure.spread)
            if rng.random() >= _BLANK_SHARE:
                cells[f"{field}-{instance}.0"] = f"{value:.{measure.decimals}f}"
    return cells


def _psychology(rng: np.random.Generator, participant: Participant, ages: dict[int, float]) -> dict[str, str]:
    neuroticism = rng.normal(-0.15 if participant.is_male else 0.15)
    num_items = len(PSYCHOLOGY_FIELDS)
    own = rng.normal(0.0, 0.75, num_items)
    thresholds = np.linspace(0.1, 1.1, num_items)
    cells = {}
    for instance in ages:
        says_yes = 0.6 * neuroticism + own + rng.normal(0.0, 0.3, num_items) > thresholds
        for field, answer in zip(PSYCHOLOGY_FIELDS, says_yes.tolist(), strict=True):
            cells[f"{field}-{instance}.0"] = _coded(rng, int(answer), (-1, -3))
        if instance == 0:
            cells["20127-0.0"] = str(int(says_yes.sum()))
    return cells


def _diseases(rng: np.random.Generator, participant: Participant, ages: dict[int, float]) -> dict[str, str]:
    illnesses = [int(code) for code in rng.permutation(_OTHER_ILLNESSES)[: rng.integers(3)]]
    diagnosed: dict[int, list[int]] = {6150: [], 6152: []}
    cells = {}
    for disease in DISEASES.values():
        log_odds = np.log(disease.share_at_60 / (1 - disease.share_at_60))
        log_odds += disease.log_odds_per_year * (participant.age_years - 60.0)
        if rng.random() >= 1 / (1 + np.exp(-log_odds)):
            continue
        in_illnesses, in_diagnosed = rng.random(2) < (0.75, 0.85)
        if in_illnesses:
            illnesses.append(int(rng.choice(disease.illness_codes)))
        if in_diagnosed:
            diagnosed[disease.diagnosed[0]].append(disease.diagnosed[1])
        if rng.random() < 0.7 or not (in_illnesses or in_diagnosed):
            cells[f"{disease.date_field}-0.0"] = _onset(rng)
    for instance in ages:
        cells |= _slots(20002, instance, illnesses)
        for field, codes in diagnosed.items():
            refuses = rng.random() < _CODED_MISSING_SHARE
            cells |= _slots(field, instance, [-3] if refuses else sorted(codes) or [-7])
    return cells


def _imaging(rng: np.random.Generator, participant: Participant, instances: tuple[int, ...]) -> dict[str, str]:
    cells = {}
    for instance in (i for i in instances if i >= 2):
        cells[f"25741-{instance}.0"] = f"{rng.gamma(6.0, 0.02):.6f}"
        cells[f"24419-{instance}.0"] = f"{rng.gamma(8.0, 0.1):.6f}"
        cells[f"25000-{instance}.0"] = f"{1.3 / participant.head_scale_3.prod():.6f}"
        for field in TABLE_POSITION_FIELDS:
            cells[f"{field}-{instance}.0"] = f"{rng.normal(0.0, 10.0):.3f}"
    return cells


def _slots(field: int, instance: int, codes: list[int]) -> dict[str, str]:
    return {f"{field}-{instance}.{slot}": str(code) for slot, code in enumerate(codes[: NUM_SLOTS[field]])}


def _coded(rng: np.random.Generator, value: int, missing_codes: tuple[int, ...]) -> str:
    chance = rng.random()
    if chance < _BLANK_SHARE:
        return ""
    return str(int(rng.choice(missing_codes)) if chance < _BLANK_SHARE + _CODED_MISSING_SHARE else value)


def _onset(rng: np.random.Generator) -> str:
    if rng.random() < _CODED_MISSING_SHARE:
        return str(rng.choice(UNKNOWN_DATES))
    return (date(1975, 1, 1) + timedelta(days=int(rng.integers(12_000)))).isoformat()
