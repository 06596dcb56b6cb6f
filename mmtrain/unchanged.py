"""Refuse a file that is not as it was written: one flipped bit of a cohort makes a 68-year-old 34 years old."""

from pathlib import Path

from mmbase.checksums import is_unchanged
from mmtrain.errors import TrainError


def require_unchanged(path: Path) -> None:
    """Compare a file with the checksum that was written down for it, where there is one.

    Raises
    ------
    TrainError
        They differ.
    """
    if not is_unchanged(path):
        raise TrainError(
            f"{path.name} of {path.parent.name} is not as it was written: a disk or another program changed it.",
            "Put it back from a backup, or make it again.",
        )
