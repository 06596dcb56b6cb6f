"""How long work tells how far it is, whoever shows it."""

from collections.abc import Callable
from contextlib import AbstractContextManager

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Called with what is counted; gives a function that is called with how many are done, of how many."""
