"""What a failed read or write means, told by codes: errno, and the names of status codes, never by a message's prose.

tensorstore raises ValueError for whatever fails and puts the name of absl's status code before the message; AWS's own
error codes stand inside it. Both are kept stable for programs.

Sources: https://abseil.io/docs/cpp/guides/status-codes,
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html and awslabs/aws-c-auth, auth.h.
"""

import errno
import re
from pathlib import Path

from mmdata.errors import CapacityError, StoreError
from mmdata.store.location import BucketPath, Location, short_name

_STATUS = re.compile(r"([A-Z][A-Z_]+): ")
_KEYS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
_SERVER = "See AWS_ENDPOINT_URL and the network."
_AWS_PROBLEMS = {
    "NoSuchBucket": ("there is no such bucket", ""),
    "AWS_AUTH_": ("there are no credentials", _KEYS),
}
"""Beginning of a code of AWS's to what happened and what to do."""
_STATUS_PROBLEMS = {
    "PERMISSION_DENIED": ("access was refused", _KEYS),
    "ABORTED": ("its server does not answer", _SERVER),  # tries are used up
    "DEADLINE_EXCEEDED": ("its server does not answer in time", _SERVER),
    "UNAVAILABLE": ("its server does not answer", _SERVER),
}


def status_code(error: Exception) -> str:
    """Return the status code of an error of tensorstore's; empty where it names none.

    >>> status_code(ValueError("RESOURCE_EXHAUSTED: Error writing 'c/0'"))
    'RESOURCE_EXHAUSTED'
    """
    match = _STATUS.match(str(error))
    return match[1] if match else ""


def is_disk_full(error: Exception) -> bool:
    """Tell whether a write failed because the disk or a quota is used up."""
    if isinstance(error, OSError) and error.errno:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return status_code(error) == "RESOURCE_EXHAUSTED"  # what absl makes of either errno


def full_disk(path: Path) -> CapacityError:
    """Return the error of a write that found the disk full."""
    return CapacityError(
        f"The disk filled up while writing {path.name}. What was stored is intact.",
        "Free some space, then run the same command again.",
    )


def damaged_array(location: Location) -> StoreError:
    """Return the error of an array whose bytes are not what was stored."""
    if isinstance(location, BucketPath):
        return StoreError(
            f"{location} is damaged: an object is unreadable or a checksum does not match.",
            "Copy the stores there again.",
        )
    return StoreError(
        f"{short_name(location)} is damaged: a file is unreadable or a checksum does not match.",
        "See which rows with mm verify, make them again with mm repair.",
    )


def explain_failure(error: Exception, location: Location) -> StoreError | None:
    """Return why a bucket cannot be read; None where its server is not at fault, or for a folder."""
    if isinstance(location, Path):
        return None
    problem = next((problem for code, problem in _AWS_PROBLEMS.items() if code in str(error)), None)
    problem = problem or _STATUS_PROBLEMS.get(status_code(error))
    if problem is None:
        return None
    what_happened, what_to_do = problem
    return StoreError(f"s3://{location.bucket} cannot be read: {what_happened}.", what_to_do)
