"""What was found when one thing was looked at, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "stops"]
"""All is well; it may matter to you; it would stop a command."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of what `mm doctor` says."""

    subject: str
    """What was looked at."""
    state: State
    here: str
    """What it is like here."""
    remedy: str = ""
    """What to do; empty where nothing need be done."""
