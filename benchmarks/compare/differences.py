"""Compare what two commits computed; pure functions of trees of values.

A tree is what JSON can hold, with numpy arrays as further leaves. Leaves are equal when their type and their text or
bytes are: there is no tolerance. What the commit before has must be there after it. What only the commit after has,
such as a new metric, is listed as added; for files, which must be the same set, that is a difference as well.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

SHOWN_CHARACTERS = 40
"""Of a leaf: enough for any number."""
Tree: TypeAlias = Any
"""None, a bool, an int, a float, a str, an array, or a list or str-keyed mapping of trees."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One leaf or branch that is not the same."""

    where: str
    """Keys and indices that lead to it, joined by slashes."""
    kind: Literal["changed", "missing", "added"]
    """Both commits have it, only the one before, only the one after."""
    before: str = ""
    after: str = ""
    relative: float | None = None
    """Of numbers: the difference over the larger magnitude; of arrays: the largest of them; None: no numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One result of both commits, compared."""

    name: str
    num_values: int
    """Leaves of the commit before, with the elements of arrays counted singly."""
    differences: tuple[Difference, ...] = ()
    added: tuple[str, ...] = ()
    """What only the commit after has, where it may have more."""
    note: str = ""
    """What the reader should know."""
    may_differ: bool = False
    """Whether it is meant to differ."""

    @property
    def fails(self) -> bool:
        """Whether it differs and should not."""
        return bool(self.differences) and not self.may_differ

    @property
    def largest_relative(self) -> float | None:
        """The largest relative difference of numbers; None where no number changed."""
        return max((one.relative for one in self.differences if one.relative is not None), default=None)


def check(name: str, before: Tree, after: Tree, *, may_add: bool = True, note: str = "") -> Check:
    """Compare one result.

    Parameters
    ----------
    may_add
        Whether the commit after may have what the commit before has not.

    Examples
    --------
    >>> check("losses", {"epoch 1": 0.5}, {"epoch 1": 0.25}).largest_relative
    0.5
    >>> check("losses", {"epoch 1": 0.5}, {"epoch 1": 0.5, "epoch 2": 0.4}).added
    ('epoch 2',)
    """
    found = list(find_differences(before, after))
    return Check(
        name=name,
        num_values=count_values(before),
        differences=tuple(one for one in found if not (may_add and one.kind == "added")),
        added=tuple(one.where for one in found if may_add and one.kind == "added"),
        note=note,
    )


def count_values(tree: Tree) -> int:
    """Count the leaves of a tree, with the elements of arrays counted singly.

    >>> count_values({"name": "t1", "shape": [48, 32]})
    3
    """
    match tree:
        case Mapping():
            return sum(map(count_values, tree.values()))
        case list():
            return sum(map(count_values, tree))
        case np.ndarray():
            return int(tree.size)
    return 1


def find_differences(before: Tree, after: Tree, where: str = "") -> Iterator[Difference]:
    """Yield every place at which two trees differ, in the order of the one before."""
    match before, after:
        case Mapping(), Mapping():
            for key in [*before, *(key for key in after if key not in before)]:
                below = f"{where}/{key}" if where else str(key)
                if key not in after:
                    yield Difference(where=below, kind="missing", before=_show(before[key]))
                elif key not in before:
                    yield Difference(where=below, kind="added", after=_show(after[key]))
                else:
                    yield from find_differences(before[key], after[key], below)
        case list(), list() if len(before) == len(after):
            for index, pair in enumerate(zip(before, after, strict=True)):
                yield from find_differences(*pair, f"{where}/{index}" if where else str(index))
        case _ if not _are_equal(before, after):
            relative = _relative_difference(before, after)
            yield Difference(where=where, kind="changed", before=_show(before), after=_show(after), relative=relative)


def _are_equal(before: Tree, after: Tree) -> bool:
    """Return whether two leaves are the same to the last bit: by text, -0.0 is not 0.0 and nan is nan."""
    if type(before) is not type(after):
        return False
    if isinstance(before, np.ndarray):
        return (before.dtype, before.shape, before.tobytes()) == (after.dtype, after.shape, after.tobytes())
    return repr(before) == repr(after)


def _relative_difference(before: Tree, after: Tree) -> float | None:
    one, other = _as_numbers(before), _as_numbers(after)
    if one is None or other is None or one.shape != other.shape or not one.size:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.abs(one - other) / np.maximum(np.abs(one), np.abs(other))
    relative = np.where((one == other) | (np.isnan(one) & np.isnan(other)), 0.0, relative)
    return float(np.where(np.isnan(relative), math.inf, relative).max())


def _as_numbers(leaf: Tree) -> NDArray[np.float64] | None:
    is_number = isinstance(leaf, int | float) and not isinstance(leaf, bool)
    is_numeric = isinstance(leaf, np.ndarray) and leaf.dtype.kind in "iuf"
    return np.asarray(leaf, np.float64) if is_number or is_numeric else None


def _show(tree: Tree) -> str:
    """Return a tree in one short line."""
    match tree:
        case np.ndarray():
            return f"{tree.dtype} array of shape {tree.shape}"
        case Mapping():
            return f"{len(tree)} entries"
        case list():
            return f"list of {len(tree)}"
    text = repr(tree)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
