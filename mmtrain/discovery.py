"""Find what can be chosen by name: each module of a package is one choice, so that a new one is a new file."""

import pkgutil
from importlib import import_module
from types import ModuleType
from typing import Any

from mmbase.json_text import shortened
from mmbase.suggestion import did_you_mean
from mmtrain.errors import TrainError


def choices_in(package: ModuleType) -> tuple[str, ...]:
    """Return the names that a package offers, in alphabetical order; nothing is imported."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__)))


def require_choice(package: ModuleType, name: str, what: str) -> None:
    """Refuse a name that a package does not offer; nothing is imported.

    Parameters
    ----------
    what
        The kind of thing, for the message.

    Raises
    ------
    TrainError
        There is none of that name.
    """
    known = choices_in(package)
    if name not in known:
        raise TrainError(
            f"Expected the {what} to be one of {', '.join(known)}, got {shortened(name)}.{did_you_mean(name, known)}"
        )


def load_choice(package: ModuleType, name: str, attribute: str, what: str) -> Any:
    """Return what the module of a name defines, by the name of the attribute.

    Raises
    ------
    TrainError
        As `require_choice`.
    """
    require_choice(package, name, what)
    return getattr(import_module(f"{package.__name__}.{name}"), attribute)
