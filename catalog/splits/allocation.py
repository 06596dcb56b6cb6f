"""Decide who goes to which split.

Whoever has a split keeps it. A family goes whole to one split: to that of its settled members, or where the hash of one
member places all. With strata, the split that is behind its share in a stratum comes first.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mmbase.names import SPLITS
from mmbase.records import NOT_TEST


@dataclass(frozen=True, kw_only=True, slots=True)
class Newcomer:
    """A participant who has no split yet."""

    key: str
    position: float
    """Keyed hash between 0 and 1 (`catalog.identity.split_position`)."""
    fixed: str | None = None
    """The split that a source or a list has settled; `NOT_TEST` leaves training and validation open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """How large validation and test are meant to be."""

    val: float
    test: float

    def among(self, splits: Sequence[str]) -> dict[str, float]:
        """Return the share of each of some splits, of those who go to any of them."""
        share = {"train": 1 - self.val - self.test, "val": self.val, "test": self.test}
        total = sum(share[split] for split in splits)
        return {split: share[split] / total for split in splits}


def allocate(
    newcomers: Iterable[Newcomer],
    shares: Shares,
    *,
    settled: Mapping[str, str],
    families: Mapping[str, str],
    strata: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the split of every newcomer, by key.

    Without strata it follows from hashes alone. With them it depends on who is settled too: in each stratum every
    split stays within one participant, or one family, of its share. It can be further away by those who were settled
    without strata or by a list, and by families across strata; whoever comes then evens that out.

    Parameters
    ----------
    settled
        Participant key to split, of those who have one.
    families
        Participant key to what names the family, for those who have relatives.
    strata
        Participant key to stratum, also of the settled. None: do not stratify.
    """
    newcomers = sorted(newcomers, key=lambda newcomer: newcomer.key)
    placed = {one.key: one.fixed for one in newcomers if one.fixed and one.fixed != NOT_TEST}
    taken: dict[str, set[str]] = defaultdict(set)
    for key, split in (*settled.items(), *placed.items()):
        if key in families:
            taken[families[key]].add(split)
    free = []
    for family, unit in _units(newcomers, placed, families):
        # of several splits the one that costs nobody: relatives of the tested are left out of training anyway
        here = [split for split in reversed(_open_splits(unit)) if split in taken[family]]
        if here:
            placed |= {one.key: here[0] for one in unit}
        else:
            free.append(unit)
    if strata is None:
        for unit in free:
            placed |= {one.key: _split_at(unit[0].position, shares.among(_open_splits(unit))) for one in unit}
        return placed
    return placed | _balance(free, shares, {**settled, **placed}, strata)


def fix_test_list(listed: frozenset[int], eids: Iterable[int], settled: Mapping[int, str]) -> dict[int, str]:
    """Return what a test list makes of participants: those it names are tested on, and nobody else.

    Parameters
    ----------
    settled
        Participant number to the split that a source says; whoever is not on the list keeps train or val.
    """
    own = {eid: split for eid, split in settled.items() if split in ("train", "val")}
    return {eid: "test" if eid in listed else own.get(eid, NOT_TEST) for eid in eids}


def _units(
    newcomers: Sequence[Newcomer], placed: Mapping[str, str], families: Mapping[str, str]
) -> Iterator[tuple[str, list[Newcomer]]]:
    """Yield those who are placed together: families, and participants without relatives."""
    units: dict[str, list[Newcomer]] = defaultdict(list)
    for one in newcomers:
        if one.key not in placed:
            units[families.get(one.key, one.key)].append(one)
    yield from units.items()


def _open_splits(unit: Sequence[Newcomer]) -> tuple[str, ...]:
    return ("train", "val") if any(one.fixed == NOT_TEST for one in unit) else SPLITS


def _split_at(position: float, share: Mapping[str, float]) -> str:
    """Return the split that holds a place between 0 and 1: test comes first, so that val can grow without moving it."""
    test = share.get("test", 0.0)
    if position < test:
        return "test"
    return "val" if position < test + share["val"] else "train"


def _balance(
    units: Iterable[Sequence[Newcomer]], shares: Shares, settled: Mapping[str, str], strata: Mapping[str, str]
) -> dict[str, str]:
    """Place units one after another so that every split has its share of every stratum.

    Large families come first: whoever follows evens out what they leave. A split that is a whole unit behind in the
    stratum must be next; as long as none is, the whole study chooses among those that are behind, or strata of a few
    participants would all begin with the same split.
    """
    in_stratum: dict[str, Counter[str]] = defaultdict(Counter)
    in_study = Counter(settled.values())
    for key, split in settled.items():
        if key in strata:
            in_stratum[strata[key]][split] += 1
    placed: dict[str, str] = {}
    for unit in sorted(units, key=lambda unit: (-len(unit), unit[0].position, unit[0].key)):
        members = Counter(strata.get(one.key, "") for one in unit)
        share = shares.among(_open_splits(unit))
        parts = [_deficits(in_stratum[stratum], share, number) for stratum, number in members.items()]
        behind = {split: sum(part[split] for part in parts) for split in share}
        split = max(behind, key=behind.__getitem__)
        if behind[split] < len(unit):
            in_all = _deficits(in_study, share, len(unit))
            split = max((split for split in behind if behind[split] > 0), key=in_all.__getitem__)
        placed |= {one.key: split for one in unit}
        in_study[split] += len(unit)
        for stratum, number in members.items():
            in_stratum[stratum][split] += number
    return placed


def _deficits(counts: Counter[str], share: Mapping[str, float], number: int) -> dict[str, float]:
    """Return how many participants each split is short of its share, once `number` more have come."""
    total = sum(counts[split] for split in share) + number
    return {split: share[split] * total - counts[split] for split in share}
