"""How much memory this process may still take: what its machine has available, and what its control groups allow.

A container and a job of SLURM are control groups (cgroups): a group may have a limit, and so may every group above it.
What the kernel says of the whole machine knows nothing of them.

Source: Linux kernel documentation, "Control Group v2" and "Memory Resource Controller" (v1); cgroups(7).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class _Hierarchy:
    """How the groups of one version tell of their memory."""

    controller: str
    """In /proc/self/cgroup."""
    mounts: tuple[str, ...]
    """Where its groups usually are; the first that is there counts."""
    limit: str
    usage: str
    reclaimable: str
    """Of memory.stat: file cache that the kernel gives back before it refuses memory, with that of the groups below."""


_HIERARCHIES = (
    _Hierarchy("", ("sys/fs/cgroup/unified", "sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    _Hierarchy(
        "memory",
        ("sys/fs/cgroup/memory",),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)


def available_bytes(root: Path = _ROOT) -> int:
    """Return the memory that this process can still take, in bytes: of the machine and of every control group it is in.

    Parameters
    ----------
    root
        Of the file system, for tests.
    """
    left = (of_group for hierarchy in _HIERARCHIES for of_group in _left_in_groups(root, hierarchy))
    return min((int(psutil.virtual_memory().available), *left))


def _left_in_groups(root: Path, hierarchy: _Hierarchy) -> Iterator[int]:
    """Yield what is left in each group with a limit, from this process's own upwards."""
    own = _own_group(root, hierarchy.controller)
    mount = next((root / path for path in hierarchy.mounts if (root / path).is_dir()), None)
    if own is None or mount is None:
        return
    for group in (own, *own.parents):  # in a container those above its own are not to be seen
        left = _left_in_group(mount / group.relative_to("/"), hierarchy)
        if left is not None:
            yield left


def _own_group(root: Path, controller: str) -> PurePosixPath | None:
    """Return the path of this process's group; None: the kernel has no such groups."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return PurePosixPath("/", *(part for part in PurePosixPath(path).parts if part != ".."))
    return None


def _left_in_group(group: Path, hierarchy: _Hierarchy) -> int | None:
    """Return what a group may still take; None: it has no limit, or does not say."""
    try:
        limit = (group / hierarchy.limit).read_text().strip()
        usage = int((group / hierarchy.usage).read_text())
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    if not limit.isdecimal():  # "max"
        return None
    return max(0, int(limit) - usage + int(statistics.get(hierarchy.reclaimable, 0)))
