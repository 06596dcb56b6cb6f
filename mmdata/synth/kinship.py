"""Who is related to whom, in the form of UK Biobank's ``ukb_rel.dat``: pairs with the kinship that KING infers.

Families are invented over the participants: brothers and sisters of about one age, some with a parent who is at least
18 years older. Nothing in the images or the table is made alike for it.

Source: UK Biobank's genotyping resource, relatedness file (ID1, ID2, HetHet, IBS0, Kinship; blanks between); the
expected values are those of Manichaikul et al. 2010, Bioinformatics 26:2867.
"""

from collections.abc import Iterator
from pathlib import Path

from mmdata.synth.participant import Participant, draw_participant
from mmdata.synth.plan import ReleasePlan
from mmdata.synth.seeds import generator

_FAMILY_SHARE = 0.02
"""Families with a parent for each participant, and as many without."""
_GENERATION_YEARS = 18.0
_KINSHIP = 0.25
"""Of parents and children, and of siblings."""
_PARENT_IBS0, _SIBLING_IBS0 = 0.0001, 0.009
"""Share of markers at which two share neither allele: next to none between parent and child."""


def write_kinship(path: Path, seed: int, plan: ReleasePlan) -> int:
    """Write the pairs of relatives among the participants with imaging; return how many."""
    lines = [_line(seed, *pair) for pair in _pairs(seed, plan)]
    path.write_text("".join(["ID1 ID2 HetHet IBS0 Kinship\n", *lines]), encoding="utf-8")
    return len(lines)


def _pairs(seed: int, plan: ReleasePlan) -> Iterator[tuple[Participant, Participant, float]]:
    """Yield two relatives and their expected IBS0."""
    indices = sorted({visit.index for visit in plan.visits})
    by_age = sorted((draw_participant(seed, index) for index in indices), key=lambda person: person.age_years)
    num_families = max(1, round(_FAMILY_SHARE * len(by_age)))
    young, rest, old = by_age[: 2 * num_families], by_age[2 * num_families : -num_families], by_age[-num_families:]
    for one, other, parent in zip(young[::2], young[1::2], reversed(old), strict=True):
        yield one, other, _SIBLING_IBS0
        if parent.age_years - other.age_years >= _GENERATION_YEARS:
            yield parent, one, _PARENT_IBS0
            yield parent, other, _PARENT_IBS0
    siblings = rest[: 2 * num_families]
    for one, other in zip(siblings[::2], siblings[1::2], strict=False):
        yield one, other, _SIBLING_IBS0


def _line(seed: int, one: Participant, other: Participant, ibs0: float) -> str:
    rng = generator(seed, "kinship", one.index, other.index)
    kinship = _KINSHIP + rng.normal(0.0, 0.008)
    hethet = 0.06 + rng.normal(0.0, 0.004)
    return f"{one.eid} {other.eid} {hethet:.4f} {ibs0 * rng.uniform(0.8, 1.2):.4f} {kinship:.4f}\n"
