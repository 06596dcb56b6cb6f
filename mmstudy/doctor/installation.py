"""Of what files mm consists here, and whether they are its own."""

import base64
import hashlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from mmbase.modules import HOME, MODULES, origins, stranger_message, strangers
from mmbase.version import DISTRIBUTION, VERSION
from mmstudy.doctor.finding import Finding

NOT_INSTALLED = "+checkout"
"""Behind the version of source files that nobody installed."""
EARLIER_DISTRIBUTION = "mm"
"""What pip knew us as up to version 0.1.0."""
_REINSTALL = "Install mm into an environment of its own (docs/install.md)."
_EARLIER = "It may be an earlier version of this mm: pip uninstall mm, then install this one again."


def told_version() -> str:
    """Return the version as it is told to users: of source files that nobody installed, with a mark that says so."""
    return VERSION if _distribution() is not None else VERSION + NOT_INSTALLED


def examine_installation() -> Iterator[Finding]:
    """Yield where mm was loaded from, and what another package in the same environment has done to it."""
    yield Finding("mm", "ok", f"{told_version()} in {HOME}")
    foreign = strangers()
    for name, path in origins().items():
        if name in foreign:
            yield Finding(f"module {name}", "stops", str(path or "not found"), stranger_message({name: path}))
        else:
            yield Finding(f"module {name}", "ok", str(path))
    if changed := _changed_files():
        found = f"{len(changed)} files are not as they were installed: {', '.join(changed[:3])}"
        yield Finding("files of mm", "stops", found, f"Another package may have overwritten them. {_REINSTALL}")
    for other, names in _others_with_our_names().items():
        remedy = _EARLIER if other == EARLIER_DISTRIBUTION else f"Whatever is installed last wins. {_REINSTALL}"
        yield Finding(f"package {other}", "note", f"it installs {', '.join(names)} too", remedy)


def _distribution() -> metadata.Distribution | None:
    try:
        return metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return None


def _changed_files() -> list[str]:
    """Return the files of ours that are not what was installed; of an editable installation none is recorded."""
    distribution = _distribution()
    recorded = [] if distribution is None else distribution.files or []
    ours = [path for path in recorded if path.parts[0].removesuffix(".py") in MODULES and path.hash is not None]
    return [str(path) for path in ours if path.hash and _hash(Path(str(path.locate()))) != path.hash.value]


def _hash(path: Path) -> str:
    """Return the hash of a file as installers record it; of one that is gone, nothing."""
    if not path.is_file():
        return ""
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode().rstrip("=")


def _others_with_our_names() -> dict[str, list[str]]:
    """Return other distributions here that install some of our top-level modules too, each with which."""
    owners = metadata.packages_distributions()
    others = sorted({other for name in MODULES for other in owners.get(name, ())} - {DISTRIBUTION})
    return {other: [name for name in MODULES if other in owners.get(name, ())] for other in others}
