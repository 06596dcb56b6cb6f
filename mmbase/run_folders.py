"""Whether a run outside its study is there, gone, or out of reach, e.g. on a disk that is not mounted.

Its folder has a mark, so that the empty folder on which a disk is mounted is not taken for one whose runs were deleted.
"""

import os
from pathlib import Path

RUNS_MARK = ".mm-runs"
"""Empty file in a folder outside the study in which runs were made."""


def is_here(run: Path) -> bool:
    """Return whether the directory of a run can be seen."""
    return os.path.isdir(run)  # noqa: PTH112 - Path.is_dir raises where a network disk is lost


def is_gone(run: Path) -> bool:
    """Return whether a run was deleted: its folder is there with its mark, and the run is not."""
    try:
        run.stat()
    except FileNotFoundError:
        return os.path.exists(run.parent / RUNS_MARK)  # noqa: PTH110 - likewise
    except OSError:
        return False
    return False
