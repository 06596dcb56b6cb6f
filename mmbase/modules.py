"""Where the top-level modules of mm are loaded from.

`cli` and `catalog` are names that other packages have too. Python loads the first of a name that it finds: another one
may hide ours, and of two packages in one folder the one that was installed last has overwritten files of the other.
"""

from importlib.util import find_spec
from pathlib import Path

MODULES = ("catalog", "cli", "mmbase", "mmcli", "mmdata", "mmstudy", "mmtrain")
"""What the distribution installs at the top level."""
HOME = Path(__file__).resolve().parents[1]
"""The folder that all of them lie in."""


def origins() -> dict[str, Path | None]:
    """Return what each top-level module is loaded from: its file, or a folder without one; None: there is nothing."""
    return {name: _origin(name) for name in MODULES}


def strangers() -> dict[str, Path | None]:
    """Return the top-level modules that are not ours, each with what Python finds in its place."""
    return {name: path for name, path in origins().items() if path != _ours(name)}


def stranger_message(found: dict[str, Path | None]) -> str:
    """Return what to tell of modules that are not ours.

    >>> print(stranger_message({"cli": Path("/x/cli.py")}).replace(str(HOME), "/mm"))
    Python does not load the cli of mm: it finds /x/cli.py before /mm/cli.py. Install mm into an environment of its \
own, or remove what comes first: a folder in PYTHONPATH, the folder you are in, a package of that name.
    """
    first = " and ".join(f"{path or 'nothing'} before {_ours(name)}" for name, path in found.items())
    return (
        f"Python does not load the {' and '.join(found)} of mm: it finds {first}. Install mm into an environment of "
        "its own, or remove what comes first: a folder in PYTHONPATH, the folder you are in, a package of that name."
    )


def _origin(name: str) -> Path | None:
    spec = find_spec(name)
    if spec is None:
        return None
    path = spec.origin or next(iter(spec.submodule_search_locations or ()), None)
    return None if path is None else Path(path).resolve()


def _ours(name: str) -> Path:
    return HOME / "cli.py" if name == "cli" else HOME / name / "__init__.py"
