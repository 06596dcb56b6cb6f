"""Where stores lie: in a folder, or in a bucket of an object store; both are read along one path.

Terms
-----
location   a folder, or a bucket and a key in it.
bucket     a named collection of objects on an S3 server.
key        an object's name in its bucket, or the part before a slash, which stands for a folder.

Who may read a bucket, and where its server is, is said by the environment variables of AWS's own programs.
Sources: https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html and
https://google.github.io/tensorstore/kvstore/s3/index.html.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from mmdata.errors import StoreError

MAX_ATTEMPTS, LONGEST_PAUSE = 8, "10s"
"""Tries of one request, and the pause between them, which doubles from a quarter of a second: half a minute in all."""
_PATIENCE = {
    "TENSORSTORE_CURL_CONNECT_TIMEOUT_SECONDS": "10",
    "TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES": "1",
    "TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS": "30",
}
"""A request that brings nothing for this long counts as failed and is tried again."""


@dataclass(frozen=True, slots=True)
class BucketPath:
    """A bucket and a key in it, with as much of `pathlib.Path` as readers use."""

    bucket: str
    key: PurePosixPath

    def __truediv__(self, name: str | Path) -> "BucketPath":
        """Return the location below this one."""
        return BucketPath(self.bucket, self.key / name)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """Last part."""
        return self.key.name

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts of the key."""
        return self.key.parts


Location: TypeAlias = Path | BucketPath


def parse_location(text: str) -> Location:
    """Tell a folder from a bucket.

    Raises
    ------
    StoreError
        It is the address of something else.

    Examples
    --------
    >>> str(parse_location("s3://cohort/study/") / "volumes.zarr")
    's3://cohort/study/volumes.zarr'
    >>> parse_location("/scratch/study").parts
    ('/', 'scratch', 'study')
    """
    scheme, found, rest = text.partition("://")
    if not found:
        return Path(text)
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise StoreError(f"Stores can lie in a folder or at s3://BUCKET/PREFIX, not at {text!r}.")
    return BucketPath(bucket, PurePosixPath(key))


def kvstore_spec(location: Location) -> dict[str, Any]:
    """Describe a location to tensorstore.

    Raises
    ------
    StoreError
        The environment gives an address of the bucket's server that is not one.
    """
    if isinstance(location, Path):
        return {"driver": "file", "path": f"{location}/"}
    for variable, value in _PATIENCE.items():
        os.environ.setdefault(variable, value)
    retries = {"max_retries": MAX_ATTEMPTS, "initial_delay": "250ms", "max_delay": LONGEST_PAUSE}
    spec: dict[str, Any] = {
        "driver": "s3",
        "bucket": location.bucket,
        "path": f"{location.key}/",
        "aws_credentials": {"type": "environment" if "AWS_ACCESS_KEY_ID" in os.environ else "default"},
        "context": {"s3_request_retries": retries},
    }
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        if urlsplit(endpoint).scheme not in ("http", "https"):
            raise StoreError(f"AWS_ENDPOINT_URL must begin with http:// or https://, got {endpoint!r}.")
        spec["endpoint"] = endpoint
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        spec["aws_region"] = region
    return spec


def short_name(location: Location) -> str:
    """Return the name of an array that messages use: from its store on, or its whole address in a bucket.

    >>> short_name(Path("/data/study/volumes.zarr/t1/64"))
    'volumes.zarr/t1/64'
    """
    if isinstance(location, BucketPath):
        return str(location)
    parts = location.parts
    first = next((i for i, part in enumerate(parts) if part.endswith(".zarr")), max(0, len(parts) - 3))
    return "/".join(parts[first:])
