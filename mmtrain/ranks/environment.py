"""What environment variables tell a process of the ranks that it is among, so that it costs no imports."""

import os

LAUNCHED = "MM_LAUNCHED"
"""Set for ranks that `mmtrain.ranks.launch` starts."""


def is_launched() -> bool:
    """Return whether `mm train --gpus` started this process, and not somebody's own torchrun."""
    return LAUNCHED in os.environ


def rank_of_process() -> int | None:
    """Return this process's rank, or None where torchrun did not start it."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ else None


def ranks_on_machine(size: int) -> int:
    """Return how many of `size` ranks share the memory of this machine; all of them, unless torchrun says so."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", size)) if size > 1 else 1
