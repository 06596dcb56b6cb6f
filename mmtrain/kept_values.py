"""Values that were worked out once and may be asked for again, in a bounded amount of memory.

A value is found by a key that holds everything it depends on. Where all of them together are more than the bound, those
that were not asked for the longest go. What is found is what would be worked out again.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mmbase.memory import available_bytes

MOST_BYTES = 4 << 30
"""Of what one process keeps, where it has several times as much available; a quarter of that otherwise."""
_AVAILABLE_SHARE = 0.25
_Value = TypeVar("_Value")


def values_budget(num_sharing: int = 1, limit: int | None = None) -> int:
    """Return how many bytes of values one process may keep.

    Parameters
    ----------
    num_sharing
        Processes that share the memory of the machine.
    limit
        What the user allows; None: nothing is said.
    """
    share = int(available_bytes() * _AVAILABLE_SHARE) // num_sharing
    return min(MOST_BYTES, share) if limit is None else min(MOST_BYTES, share, limit)


@dataclass(slots=True)
class KeptValues:
    """Values by their keys, the one that was asked for last at the end."""

    budget_bytes: int = field(default_factory=values_budget)
    held_bytes: int = 0
    """Of all values that are kept."""
    _entries: OrderedDict[Hashable, tuple[Any, int]] = field(default_factory=OrderedDict)

    def find(self, key: Hashable) -> Any:
        """Return a value; None where it is not kept."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def keep(self, key: Hashable, value: Any, num_bytes: int) -> None:
        """Keep a value in the place of the one before, unless it alone is more than the bound."""
        self._drop(key)
        if num_bytes > self.budget_bytes:
            return
        self._entries[key] = value, num_bytes
        self.held_bytes += num_bytes
        while self.held_bytes > self.budget_bytes:
            self._drop(next(iter(self._entries)))

    def once(self, key: Hashable, work: Callable[[], _Value], size: Callable[[_Value], int]) -> _Value:
        """Return a value, worked out unless it is kept.

        Examples
        --------
        >>> kept = KeptValues(budget_bytes=10)
        >>> kept.once("a", lambda: "abc", len), kept.once("a", lambda: "never asked", len), kept.held_bytes
        ('abc', 'abc', 3)
        """
        found: _Value | None = self.find(key)
        if found is None:
            found = work()
            self.keep(key, found, size(found))
        return found

    def _drop(self, key: Hashable) -> None:
        _, num_bytes = self._entries.pop(key, (None, 0))
        self.held_bytes -= num_bytes
