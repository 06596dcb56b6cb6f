"""One sentence of doubt about a run: what was seen, what it means, and what to do."""

from dataclasses import dataclass, replace
from typing import Literal

Level = Literal["doubt", "care", "note"]
LEVELS: tuple[Level, ...] = ("doubt", "care", "note")
"""Do not believe it; believe it with care; worth knowing. Worst first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a rule found."""

    code: str
    """Name of the rule."""
    level: Level
    title: str
    """What was found, in one line."""
    meaning: str
    """The numbers, and what they mean."""
    remedy: str
    """What to do."""

    def of(self, target: str) -> "Verdict":
        """Return the same, said of one of several targets."""
        return replace(self, title=f"{target}: {self.title}")
