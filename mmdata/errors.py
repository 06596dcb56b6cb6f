"""What can go wrong with a study's settings, sources and stores.

`DataError` is for the person at the keyboard: it says what was expected, what came, where, and what to do.
`ScanRejected` is for one scan: it is recorded with the scan and never stops a run.
"""

from mmbase.errors import MmError


class DataError(MmError):
    """A setting, source or store that stops the work before it can do harm."""


class StudyError(DataError):
    """The study directory or its `study.toml` cannot be used as it is."""


class SourceError(DataError):
    """The folder given as a source is not what it should be."""


class StoreError(DataError):
    """A Zarr store is missing, of another version, or lacks the rows asked for."""


class CapacityError(DataError):
    """The work would not fit in memory or on the disk, or the disk filled up."""


class ClusterError(DataError):
    """The Dask cluster or the job queue cannot be used as it is, or was lost."""


class ScanRejected(Exception):  # noqa: N818 - an outcome, not an error
    """One scan that cannot be used.

    Parameters
    ----------
    reason
        A short fixed code, the same for every scan rejected alike, e.g. ``truncated``.
    detail
        What was expected and what came; never a path or an identifier.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["ScanRejected"], tuple[str, str]]:
        return type(self), (self.reason, self.detail)
