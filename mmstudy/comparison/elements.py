"""What a set of inputs is made of.

Terms
-----
element    an input other than metadata, or a group of tabular features (which brings the input metadata).
unit       elements that no set of a table has one without the other: in the reference's grid FLAIR and T1 are one.
"""

from collections.abc import Collection, Sequence
from typing import TypeAlias

from catalog.fields import REFERENCE_BLOCKS
from mmbase.names import INPUTS, METADATA

Elements: TypeAlias = frozenset[str]
Unit: TypeAlias = tuple[str, ...]
"""Names in the order of tables."""


def elements_of(inputs: Sequence[str], blocks: Sequence[str]) -> Elements:
    """Return what a model is given.

    >>> sorted(elements_of(["t1", "metadata"], ["constitutional"]))
    ['constitutional', 't1']
    """
    return frozenset((*(name for name in inputs if name != METADATA), *blocks))


def in_order(elements: Collection[str]) -> Unit:
    """Return elements in the order of tables: groups of features, then inputs.

    >>> in_order({"dwi", "t1", "serology", "constitutional"})
    ('constitutional', 'serology', 't1', 'dwi')
    """
    known = (*REFERENCE_BLOCKS, *INPUTS)
    return (
        *(name for name in REFERENCE_BLOCKS if name in elements),
        *sorted(name for name in elements if name not in known),
        *(name for name in INPUTS if name in elements),
    )


def find_units(sets: Collection[Elements]) -> list[Unit]:
    """Return the units of some sets, in the order of tables.

    >>> find_units([frozenset({"t1", "flair"}), frozenset({"t1", "flair", "dwi"}), frozenset({"dwi"})])
    [('flair', 't1'), ('dwi',)]
    """
    units: dict[tuple[bool, ...], list[str]] = {}
    for name in in_order(frozenset().union(*sets)):
        units.setdefault(tuple(name in elements for elements in sets), []).append(name)
    return [tuple(names) for names in units.values()]
