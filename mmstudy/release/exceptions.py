"""Stated exceptions: what may leave although it was found, where, and why; each is checked for being needed.

```toml
[[exception]]
path = "tests/data/*.nii.gz"
kinds = ["image"]
reason = "made-up volumes"
```

A ``*`` stands for any text, folders too. An exception that excuses nothing is stale, and told of: what it was for is
gone, and what comes in its place has not been looked at by anybody.
"""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from mmbase.errors import first_line
from mmbase.json_text import join_faults
from mmbase.settings import STRICT
from mmstudy.release.errors import ReleaseError
from mmstudy.release.kinds import Kind

FILE_NAME = ".release-check.toml"
_Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class StatedException:
    """One exception."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    path: _Text
    """Files that it is for, e.g. ``tests/*.csv``."""
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)]
    """What may be found in them."""
    reason: _Text
    """Why it may leave."""

    def excuses(self, file: str, kind: Kind) -> bool:
        """Return whether it is for a kind in a file."""
        return kind in self.kinds and fnmatchcase(file, self.path)


@dataclass(frozen=True, slots=True)
class _Stated:
    """What a file of exceptions says."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    exception: tuple[StatedException, ...] = ()


_TYPE = TypeAdapter(_Stated)


def parse_exceptions(text: str, where: str) -> tuple[StatedException, ...]:
    """Return the exceptions that a file states.

    Raises
    ------
    ReleaseError
        It is no TOML, or says something else than exceptions.
    """
    try:
        return _TYPE.validate_python(tomllib.loads(text)).exception
    except tomllib.TOMLDecodeError as error:
        raise ReleaseError(f"{where} is not TOML: {first_line(error)}.") from error
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise ReleaseError(
            f"{where}: {join_faults(faults)}",
            "Each [[exception]] has a path, kinds and a reason; docs/release-check.md names the kinds.",
        ) from None


def read_exceptions(path: Path) -> tuple[StatedException, ...]:
    """Return the exceptions of a file.

    Raises
    ------
    ReleaseError
        There is no such file, or it says something else than exceptions.
    """
    try:
        return parse_exceptions(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ReleaseError(f"The exceptions {path} cannot be read: {first_line(error)}.") from error


def find_stale(exceptions: Sequence[StatedException], used: Iterable[tuple[StatedException, Kind]]) -> list[str]:
    """Return what is stated and was not needed, as path and kind."""
    needed = set(used)
    return [f"{one.path} ({kind})" for one in exceptions for kind in one.kinds if (one, kind) not in needed]
