"""How a rank tells the command that started it why it ends; costs no imports.

torchrun names a file for it in the environment of each rank and reads it when the rank has failed.
Source: https://docs.pytorch.org/docs/stable/elastic/errors.html.
"""

import json
import os
import time
import traceback
from pathlib import Path
from typing import Any

from mmbase.errors import MmError

_FILE_VARIABLE = "TORCHELASTIC_ERROR_FILE"
_IS_FOR_USERS = "is_for_users"


def record_failure(error: BaseException) -> None:
    """Write why this rank ends, where the command that started it looks; without torchrun do nothing."""
    path = os.environ.get(_FILE_VARIABLE)
    if path is None:
        return
    is_for_users = isinstance(error, MmError)
    message = {
        "message": str(error) if is_for_users else f"{type(error).__name__}: {error}",
        _IS_FOR_USERS: is_for_users,
        "extraInfo": {"timestamp": str(int(time.time())), "py_callstack": "".join(traceback.format_exception(error))},
    }
    Path(path).write_text(json.dumps({"message": message}), encoding="utf-8")


def read_message(message: Any) -> tuple[str, bool]:
    """Return what a rank says of its failure, and whether that was written for users.

    Parameters
    ----------
    message
        Of torchrun's `ProcessFailure`: what `record_failure` wrote, or text of its own.
    """
    if not isinstance(message, dict):
        return str(message), False
    return str(message.get("message", "")), bool(message.get(_IS_FOR_USERS, False))
