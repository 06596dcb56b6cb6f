"""Take rows out of every array of a study: of any modality, side and copy that is on the disk.

A row that is erased is missing, as if it had never been stored, and no byte of it stays in its shard. What the settings
say is stored does not matter here, only what is there.
"""

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mmbase.files import sync_directory
from mmdata.execution.pools import WorkerPool
from mmdata.execution.tasks import keep_results, run_tasks
from mmdata.store.array import StoredArray, open_array
from mmdata.store.chunks import shard_file
from mmdata.store.schema import StudyLayout
from mmdata.store.shards import shard_starts

LOCK_SUFFIX = ".__lock"
"""Behind the name of the file that tensorstore writes a shard to before it is renamed; a kill leaves it behind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EraseTask:
    """Rows of one shard of one array that are to go."""

    path: Path
    """The array's directory."""
    file: Path
    """The shard's."""
    copy: int | None
    """Index along the copies axis, for an augmented array."""
    rows: tuple[int, ...] = field(repr=False)

    @property
    def array(self) -> str:
        """Name of the array inside the study."""
        return "/".join(self.path.parts[-3:])

    @property
    def leftover(self) -> Path:
        """What a killed write of the shard left behind, if there is any."""
        return self.file.with_name(self.file.name + LOCK_SUFFIX)


def plan_erasure(layout: StudyLayout, rows: frozenset[int], more: Mapping[str, frozenset[int]]) -> list[EraseTask]:
    """List every shard on the disk in which some rows may lie, whether they are stored or not.

    Parameters
    ----------
    rows
        To erase from every array.
    more
        Modality to rows that are to be erased from its arrays alone.

    Raises
    ------
    StoreError
        The description of an array is damaged or missing, so that its shards cannot be read.
    """
    tasks: list[EraseTask] = []
    for directory in sorted({path.parent for path in _chunk_folders(layout)}):
        wanted = sorted(rows | more.get(directory.parent.name, frozenset()))
        if wanted:
            tasks += _tasks_of(open_array(directory), wanted)
    return tasks


def count_rows(task: EraseTask) -> int:
    """Return how many of a task's rows hold anything."""
    return len(open_array(task.path).held_rows(task.rows, copy=task.copy)) if task.file.exists() else 0


def execute_erasure(
    tasks: Sequence[EraseTask], *, workers: int | WorkerPool, on_progress: Callable[[int, int], None]
) -> None:
    """Erase what the tasks name.

    Raises
    ------
    CapacityError
        The disk is full; shards are as they were, or rewritten.
    """
    keep_results(run_tasks(erase_rows, tasks, workers=workers), lambda _: 1, len(tasks), on_progress)


def erase_rows(task: EraseTask) -> None:
    """Erase the rows of one task, and what a killed write of their shard left behind."""
    _remove_leftover(task.leftover)
    if task.file.exists():
        open_array(task.path).erase_rows(task.rows, copy=task.copy)
    sync_directory(task.file.parent)


def _remove_leftover(path: Path) -> None:
    """Remove a file that is not being written; wait for a process that outlives its command and still writes it."""
    with suppress(FileNotFoundError), path.open("rb+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        path.unlink()


def _chunk_folders(layout: StudyLayout) -> Iterator[Path]:
    for store in (layout.volumes, layout.augmented):
        yield from store.glob("*/*/c")


def _tasks_of(array: StoredArray, rows: Sequence[int]) -> Iterator[EraseTask]:
    within = [row for row in rows if row < array.shape[array.row_axis]]
    for copy in range(array.shape[0]) if array.row_axis else (None,):
        for start, of_shard in shard_starts(within, array.rows_per_shard):
            index = start // array.rows_per_shard
            file = shard_file(array.path, index, len(array.row_shape), copy=copy)
            task = EraseTask(path=array.path, file=file, copy=copy, rows=tuple(of_shard))
            if file.exists() or task.leftover.exists():
                yield task
