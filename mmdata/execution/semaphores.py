"""What processes wait for each other with: semaphores, which lie in /dev/shm. Source: sem_overview(7)."""

from multiprocessing import get_context

from mmdata.errors import ClusterError


def require_semaphores() -> None:
    """Refuse to start processes where they could not wait for each other.

    Raises
    ------
    ClusterError
        No semaphore can be made.
    """
    try:
        get_context("spawn").Lock()
    except (OSError, ImportError) as error:
        why = error.strerror if isinstance(error, OSError) else "this system has no semaphores"
        raise ClusterError(
            f"Worker processes cannot be started, for shared memory (/dev/shm) cannot be used: {why}.",
            "Mount a tmpfs there that you can write to (of a container: --shm-size 1g), or give --workers 0, which "
            "works in this process.",
        ) from error
