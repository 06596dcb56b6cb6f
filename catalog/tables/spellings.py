"""Who the labels in a table mean: participants as their folders spell them, or with other leading zeros.

A spreadsheet makes 1 of 01. A label of digits that no folder has, so, means the one participant whose label is the same
number, unless another row or another folder might mean them too.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from catalog.tables.cells import NULLS
from mmbase.records import participant_number, without_zeros

_PREFIX = re.compile("sub-", re.IGNORECASE)
_WITH_FRACTION = re.compile(r"(\d+)\.0+", re.ASCII)
"""A number as a column of decimals has it."""
_NOBODY = re.compile(r"-\d+|redacted", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spellings:
    """Whom the labels of a table mean."""

    eids: Mapping[str, int] = field(repr=False)
    """Participant number by text; what is missing means nobody."""
    num_respelled: int
    """Labels that differ from the folder's in leading zeros, and are taken to be the same."""
    num_ambiguous: int
    """Labels that several folders or rows come near to by leading zeros, so that they are nobody's."""


def match_labels(texts: Collection[str], imaged: Collection[int], labels: Mapping[int, str]) -> Spellings:
    """Find the participants that labels mean.

    Parameters
    ----------
    texts
        Labels with or without ``sub-``, without blanks around them.
    imaged
        Participants with imaging.
    labels
        Of those who are not called by their number.

    >>> match_labels(["sub-1"], [participant_number("01")], {participant_number("01"): "01"}).num_respelled
    1
    """
    label_of = {text: label for text in texts if (label := _label(text))}
    eids = {text: participant_number(label) for text, label in label_of.items()}
    known = frozenset(imaged)
    namesakes: dict[str, list[int]] = defaultdict(list)
    for eid in known:
        if number := without_zeros(labels.get(eid, str(eid))):
            namesakes[number].append(eid)
    strangers: dict[str, list[str]] = defaultdict(list)
    for text, label in label_of.items():
        if eids[text] not in known and (number := without_zeros(label)) in namesakes:
            strangers[number].append(text)
    named = known.intersection(eids.values())
    num_ambiguous = 0
    for number, spelled in strangers.items():
        people = {label_of[text] for text in spelled}
        if len(people) == len(namesakes[number]) == 1 and named.isdisjoint(namesakes[number]):
            eids.update(dict.fromkeys(spelled, namesakes[number][0]))
        else:
            num_ambiguous += len(people)
    num_respelled = sum(eids[spelled[0]] in known for spelled in strangers.values())
    return Spellings(eids=eids, num_respelled=num_respelled, num_ambiguous=num_ambiguous)


def _label(text: str) -> str:
    """Return a participant's label; empty where the text stands for nobody."""
    label = _PREFIX.sub("", text, count=1) if _PREFIX.match(text) else text
    if match := _WITH_FRACTION.fullmatch(label):
        label = match[1]
    return "" if label.lower() in NULLS or _NOBODY.fullmatch(label) else label
