"""The bytes of one file, read once from start to end: a file on disk, a blob of a repository, a member of an archive.

Terms
-----
head       the first bytes, which say of which form a file is.
budget     how many bytes may still come out of what a file has packed: it ends what would never end.
"""

import io
from collections.abc import Iterator
from functools import cached_property
from typing import BinaryIO, Protocol, cast

HEAD_BYTES = 1 << 18
CHUNK_BYTES = 1 << 20
MAX_HELD_BYTES = 256 << 20
"""Of a file that is read as a whole and lies within another."""
MAX_UNPACKED_BYTES = 16 << 30
MAX_DEPTH = 6
"""Of members in members."""


class NotLookedIntoError(Exception):
    """Why a file, or the rest of it, cannot be looked into; for the middle of a sentence."""


class Readable(Protocol):
    """Whatever bytes can be read from, in order."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, none at the end."""


class Budget:
    """How many bytes may still be unpacked from one file, and how deep."""

    def __init__(self, num_bytes: int) -> None:
        self.left = num_bytes

    def spend(self, num_bytes: int) -> None:
        """Take away what was unpacked.

        Raises
        ------
        NotLookedIntoError
            It was more than may be.
        """
        self.left -= num_bytes
        if self.left < 0:
            raise NotLookedIntoError("it unpacks to more than can be looked into")


class Stream:
    """One file that is read in order.

    Parameters
    ----------
    name
        Of the file, by which some forms are known.
    file
        Its bytes.
    size
        In bytes, of a file on disk, in which any place can be read; None: of any other.
    budget
        That its bytes count for; None: they were not unpacked.
    """

    def __init__(self, name: str, file: Readable, size: int | None = None, budget: Budget | None = None) -> None:
        self.name = name
        self.num_bytes = 0
        self._file = file
        self._size = size
        self._budget = budget

    @cached_property
    def head(self) -> bytes:
        """Return the first bytes; all of a short file."""
        return self._read(HEAD_BYTES)

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes, once."""
        head = self.head
        if len(head) == HEAD_BYTES:
            yield head + self._read(CHUNK_BYTES - HEAD_BYTES)
            while chunk := self._read(CHUNK_BYTES):
                yield chunk
        elif head:
            yield head

    def rest(self) -> io.BufferedReader:
        """Return a file of all bytes, to be read once in order."""
        return io.BufferedReader(_InOrder(self), CHUNK_BYTES)

    def whole(self) -> BinaryIO:
        """Return a file in which any place can be read: the one on disk, or a copy in memory.

        Raises
        ------
        NotLookedIntoError
            There is none on disk, and it is too large for a copy.
        """
        if self._size is not None:
            self.num_bytes = self._size
            file = cast(BinaryIO, self._file)
            file.seek(0)
            return file
        content = bytearray(self.head)
        while chunk := self._read(CHUNK_BYTES):
            content += chunk
            if len(content) > MAX_HELD_BYTES:
                raise NotLookedIntoError("it is too large to be looked into where it lies")
        return io.BytesIO(content)

    def _read(self, num_bytes: int) -> bytes:
        """Return so many bytes; fewer at the end alone."""
        parts: list[bytes] = []
        missing = num_bytes
        while missing and (part := self._file.read(missing)):
            parts.append(part)
            missing -= len(part)
        self.num_bytes += num_bytes - missing
        if self._budget is not None:
            self._budget.spend(num_bytes - missing)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class _InOrder(io.RawIOBase):
    """A stream's bytes as a file of Python's."""

    def __init__(self, stream: Stream) -> None:
        self._chunks = stream.chunks()
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # any buffer, says its type
        if not self._left:
            self._left = memoryview(next(self._chunks, b""))
        num = min(len(buffer), len(self._left))
        buffer[:num] = self._left[:num]
        self._left = self._left[num:]
        return num
