"""Participants: who they are, and what sex, age and chance make of their brains.

Terms
-----
index           a participant's number in the release, 0 to N-1; without imaging: from `TABLE_ONLY_INDEX` on.
offset          what a participant's brain has of an ageing effect beyond what their age explains.
brain           the amounts of every planted effect at one visit; `anatomy` and `contrast` turn them into images.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mmdata.synth.seeds import generator

AGE_RANGE_YEARS = (45.0, 82.0)
"""Ages at the imaging visit, uniform."""
TABLE_ONLY_INDEX = 4_000_000
"""First index of the participants without imaging."""
_NUM_EIDS = 8_999_993
"""The largest prime that leaves 7-digit eids: multiplication modulo it never gives one eid twice."""
_FIRST_EID = 1_000_000
_VENTRICLE_MM = (0.2, 5.8, 0.45)
_CORTICAL_LOSS = (0.05, 0.60, 0.10)
_FLAIR_CAPS = (0.05, 0.55, 0.10)
_FA_LOSS = (0.0, 0.30, 0.05)
"""Each effect's amount at 45, what it gains until 82, and the standard deviation between people of one age."""
_POSTERIOR_RANGES = ((0.0, 0.45), (0.0, 0.3), (0.0, 0.18))
"""Cortical loss, FLAIR caps and FA loss of the brain's back half, uniform whatever the age: without them, the share of
dark voxels in the whole brain would tell the age, and a reader that gets the geometry wrong would not notice."""
_REPEAT_YEARS = (2.0, 4.0)
"""From the imaging visit to the repeat visit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Participant:
    """One person, the same at all visits."""

    index: int
    eid: int = field(repr=False)
    is_male: bool
    age_years: float
    """Age at the imaging visit (instance 2)."""
    recruitment_age_years: float
    """Age at recruitment (instance 0), 5 to 12 years earlier."""
    head_scale_3: NDArray[np.float64]
    """Native size over MNI152 size along R, A, S, shape (3,)."""
    head_shear_3: NDArray[np.float64]
    """Off-diagonal entries xy, xz, yz of the native-from-MNI152 map, shape (3,)."""
    offsets_4: NDArray[np.float64]
    """Offsets of ventricles, cortex, FLAIR caps and FA in standard deviations, shape (4,)."""
    posterior_3: NDArray[np.float64]
    """What the back of the brain has of cortical loss, FLAIR caps and FA loss, independent of age, shape (3,)."""
    sex_effect: float
    """Where the brain lies between the female (-1) and the male (+1) mean in what differs by sex."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Brain:
    """The amounts of the planted effects at one visit."""

    ventricle_mm: float
    """How far the walls of the ventricles are pushed outwards."""
    cortical_loss: float
    """Share of the grey matter next to frontal sulci that has become CSF."""
    flair_caps: float
    """Extra FLAIR intensity of the frontal white matter next to the ventricles, in `contrast.FLAIR`'s unit."""
    fa_loss: float
    """Share of the frontal white matter's FA that is lost."""
    posterior_3: NDArray[np.float64]
    """As in `Participant`."""
    sex_effect: float
    """As in `Participant`."""


def eid_of(seed: int, index: int) -> int:
    """Return a participant's 7-digit eid; two indices below 8,999,993 never share one."""
    rng = generator(seed, "eid")
    multiplier = int(rng.integers(_NUM_EIDS // 4, _NUM_EIDS // 2))
    offset = int(rng.integers(_NUM_EIDS))
    return _FIRST_EID + (multiplier * index + offset) % _NUM_EIDS


def draw_participant(seed: int, index: int) -> Participant:
    """Draw one participant."""
    rng = generator(seed, "participant", index)
    is_male = bool(rng.random() < 0.48)
    sign = 1.0 if is_male else -1.0
    age_years = float(rng.uniform(*AGE_RANGE_YEARS))
    head_size = 0.03 * sign + rng.normal(0.0, 0.025)
    return Participant(
        index=index,
        eid=eid_of(seed, index),
        is_male=is_male,
        age_years=age_years,
        recruitment_age_years=age_years - float(rng.uniform(5.0, 12.0)),
        head_scale_3=np.exp(np.clip(head_size + rng.normal(0.0, 0.015, 3), -0.08, 0.08)),
        head_shear_3=rng.normal(0.0, 0.015, 3),
        offsets_4=rng.normal(0.0, 1.0, 4),
        posterior_3=rng.uniform(*np.transpose(_POSTERIOR_RANGES)),
        sex_effect=sign + float(rng.normal(0.0, 0.5)),
    )


def age_at(seed: int, participant: Participant, instance: int) -> float:
    """Return a participant's age in years at an assessment: 0 recruitment, 1 between, 2 imaging, 3 repeat imaging."""
    if instance == 0:
        return participant.recruitment_age_years
    if instance == 1:
        return participant.recruitment_age_years + 4.0
    if instance == 2:
        return participant.age_years
    return participant.age_years + float(generator(seed, "repeat", participant.index).uniform(*_REPEAT_YEARS))


def brain_at(participant: Participant, age_years: float) -> Brain:
    """Return a participant's brain at an age."""
    ageing = (age_years - AGE_RANGE_YEARS[0]) / (AGE_RANGE_YEARS[1] - AGE_RANGE_YEARS[0])
    effects = (_VENTRICLE_MM, _CORTICAL_LOSS, _FLAIR_CAPS, _FA_LOSS)
    ventricle_mm, cortical_loss, flair_caps, fa_loss = (
        float(np.clip(at_45 + gain * ageing + spread * offset, -0.5, at_45 + 1.3 * gain))
        for (at_45, gain, spread), offset in zip(effects, participant.offsets_4, strict=True)
    )
    return Brain(
        ventricle_mm=ventricle_mm,
        cortical_loss=max(cortical_loss, 0.0),
        flair_caps=max(flair_caps, 0.0),
        fa_loss=max(fa_loss, 0.0),
        posterior_3=participant.posterior_3,
        sex_effect=participant.sex_effect,
    )
