"""A gigabyte of zeros in a megabyte, written in a fraction of a second.

A full flush makes what follows independent of what came before, so one compressed chunk of zeros stands for all.

Source: RFC 1951 (deflate), RFC 1952 (gzip).
"""

import struct
import zlib
from dataclasses import dataclass

from isal import isal_zlib

_CHUNK_BYTES = 1 << 24
_NUM_CHUNKS = 66
_RAW_DEFLATE = -15
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@dataclass(frozen=True, slots=True)
class Deflated:
    """A raw deflate stream and what containers say of its content."""

    content: bytes
    crc: int
    num_bytes: int
    """Unpacked."""


def deflate_before_zeros(head: bytes) -> Deflated:
    """Compress some bytes with more than 1 GiB of zeros behind them."""
    zeros = bytes(_CHUNK_BYTES)
    crc = zlib.crc32(head)
    for _ in range(_NUM_CHUNKS):
        crc = isal_zlib.crc32(zeros, crc)
    end = zlib.compressobj(wbits=_RAW_DEFLATE).flush()
    content = _flushed(head) + _flushed(zeros) * _NUM_CHUNKS + end
    return Deflated(content=content, crc=crc, num_bytes=len(head) + _CHUNK_BYTES * _NUM_CHUNKS)


def gzip_before_zeros(head: bytes) -> bytes:
    """Return a gzip file of some bytes with more than 1 GiB of zeros behind them."""
    deflated = deflate_before_zeros(head)
    return _GZIP_HEADER + deflated.content + struct.pack("<II", deflated.crc, deflated.num_bytes)


def _flushed(content: bytes) -> bytes:
    compressor = zlib.compressobj(level=9, wbits=_RAW_DEFLATE)
    return compressor.compress(content) + compressor.flush(zlib.Z_FULL_FLUSH)
