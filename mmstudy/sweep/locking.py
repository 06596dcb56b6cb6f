"""How many workers may be where the file system has no locks: one, since nothing keeps two from the same job."""

from mmbase.files import make_directory
from mmbase.lock import has_locks
from mmdata.study import Study
from mmtrain.errors import TrainError


def allowed_workers(study: Study, asked: int | None, *, on_cluster: bool) -> int | None:
    """Return how many workers to start: as many as are asked for, and 1 where the file system has no locks.

    Parameters
    ----------
    asked
        None: as many as this machine has GPUs.
    on_cluster
        Whether they would work on other machines.

    Raises
    ------
    TrainError
        The file system has no locks, and more than one worker is asked for.
    mmbase.lock.NoLocksError
        It has none, and the user has not said to go on without.
    """
    make_directory(study.layout.sweeps)
    if has_locks(study.layout.sweeps / "lock"):
        return asked
    if on_cluster or (asked or 1) > 1:
        raise TrainError(
            "The file system of the study has no locks. Workers of a sweep share its jobs by locks: without them "
            "several would train the same run at once and destroy it.",
            "Mount it with locks, or give --workers 1, without --slurm and --scheduler.",
        )
    return 1
