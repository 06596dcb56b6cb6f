"""Which of the processes that torchrun started this one is; told by environment variables, so it costs no imports."""

import os


def rank_of_process() -> int | None:
    """Return this process's rank, or None where torchrun did not start it."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ else None
