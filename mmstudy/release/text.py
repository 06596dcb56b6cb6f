"""Participants and samples in bytes of any kind: numbers, labels and ids that stand by themselves.

Terms
-----
window     a stretch of a file with some bytes on either side that belong to its neighbours too, so that nothing is cut
           in two. What begins in the stretch itself is judged; no byte is judged twice.
bare       a number that nothing is written against but blanks, commas and brackets, as programs print counts.

A number of seven digits is a participant's by its fingerprint. Without a study it is taken for one where what stands
beside it says so: ``eid=…``, ``sub-…``, the name of one of UK Biobank's bulk files.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudy.release.kinds import Kind, Mark
from mmstudy.release.people import People

MARGIN = 1024
"""Bytes on either side of a window that help to judge it; no pattern is longer."""
_DIGITS, _ID_DIGITS = 7, 16
_BEFORE_NUMBER, _BEHIND_NUMBER = 40, 16
_NAMED_BEFORE = re.compile(
    rb"(?:\beid|participant(?:[_ ]?id)?|subject(?:[_ ]?id)?|\bsub|\bf\.eid|\bn_eid|\bukb)"
    rb"[\"']?\s{0,3}[-:=_ ][=]?\s{0,3}[\"'\[(]{0,2}\Z",
    re.IGNORECASE,
)
_BULK_BEHIND = re.compile(rb"[_ \t,][23]\d{4}_\d{1,2}_\d{1,3}(?!\d)")
"""EID_FIELD_INSTANCE_ARRAY."""
_SAMPLE_BEFORE = re.compile(
    rb"(?:sample|participant)_(?:id|key)s?[\"']?\s{0,3}[:=]\s{0,3}[\"'\[(]{0,2}\Z", re.IGNORECASE
)
_PREFIXES = re.compile(rb"(?<![a-z])(?:eid|id|sub|subject|participant|ukbb?|p|s|n)\Z", re.IGNORECASE)
"""Letters that may stand against a participant's number."""
_LABEL = re.compile(rb"(?<![A-Za-z0-9])sub-([A-Za-z0-9]{1,64})")
_TIED = b"\"'-_/"
"""What is written against a number that is part of a name or a text."""


def _marking(characters: bytes) -> bytes:
    """Return what turns each of some bytes into 1, and any other into 0, in `bytes.translate`."""
    return bytes(code in characters for code in range(256))


_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NUMERALS = b"0123456789"
DIGIT, HEX, WORD = _marking(_NUMERALS), _marking(_NUMERALS + b"abcdef"), _marking(_NUMERALS + _LETTERS + b"_-+/")
_IS_LETTER = np.frombuffer(_marking(_LETTERS), dtype=bool)
_IS_ALPHANUMERIC = np.frombuffer(_marking(_LETTERS + _NUMERALS), dtype=bool)
_IS_BEFORE_NUMBER = np.frombuffer(_marking(b"\"'-:=_/ ([\n\0"), dtype=bool)
"""What stands before a number that something tells the meaning of."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a file."""

    text: bytes
    start: int
    """Of the stretch within `text`."""
    stop: int
    first_byte: int
    """Of `text`, in the file."""
    first_line: int
    """That `text` begins in, from 1."""

    def place(self, position: int) -> str:
        """Return where in the file a position of `text` is, by line, or by byte in a file that is no text."""
        if b"\0" in self.text:
            return f"byte {self.first_byte + position:,}"
        return f"line {self.first_line + self.text.count(10, 0, position)}"

    def has(self, position: int) -> bool:
        """Return whether what begins at a position of `text` is judged in this window."""
        return self.start <= position < self.stop


def windows(chunks: Iterable[bytes]) -> Iterator[Window]:
    """Yield the windows of a file that is read in chunks."""
    carry, first_byte, first_line, start = b"", 0, 1, 0
    for text, is_last in _with_last(as_utf8(chunks)):
        whole = carry + text
        stop = len(whole) if is_last else max(start, len(whole) - MARGIN)
        yield Window(whole, start, stop, first_byte, first_line)
        kept = max(0, len(whole) - 2 * MARGIN)
        first_line += whole.count(10, 0, kept)
        first_byte += kept
        carry, start = whole[kept:], stop - kept


def as_utf8(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a file's bytes, text of two bytes a character as UTF-8."""
    decoder = None
    for number, chunk in enumerate(chunks):
        if number == 0 and chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            decoder = codecs.getincrementaldecoder("utf-16")("replace")
        yield chunk if decoder is None else decoder.decode(chunk).encode()


def find_people(window: Window, people: People | None, *, bare: bool = True) -> Iterator[Mark]:
    """Yield what a window tells of participants and samples: of each kind the first, for one is enough to hold it back.

    Parameters
    ----------
    people
        None: there is no study, and only what stands beside a number or an id tells what it is.
    bare
        Whether bare numbers are looked at; in what mm writes they are computed.
    """
    codes = np.frombuffer(window.text + b"\0", dtype=np.uint8)
    starts, ends = find_runs(window, DIGIT, _DIGITS, _DIGITS)
    starts = starts[(codes[starts] != ord("0")) & ~_IS_LETTER[codes[ends]]]
    yield from _first(_numbers(window, codes, starts, people, bare=bare))
    yield from _labels(window, people)
    yield from _first(_ids(window, codes, people))


def _numbers(
    window: Window, codes: NDArray[np.uint8], starts: NDArray[np.intp], people: People | None, *, bare: bool
) -> Iterator[Mark]:
    text = window.text
    if people is not None and starts.size:
        values = codes[starts[:, None] + np.arange(_DIGITS)].astype(np.int64) - 48
        numbers = values @ 10 ** np.arange(_DIGITS - 1, -1, -1)
        for start in starts[people.whose(numbers)].tolist():
            if _stands_alone(text, start) and (bare or _is_tied(text, start)):
                yield Mark(Kind.EID, "the eid of a participant of the study", window.place(start))
                break
    told = starts[_IS_BEFORE_NUMBER[codes[starts - 1]]]  # of the first byte: the zero behind the last
    for start in told.tolist():
        if text[start : start + 1] <= b"6" and is_told_a_number(text, start):
            yield Mark(Kind.EID_SHAPE, "what looks like the eid of a participant", window.place(start))
            break


def is_told_a_number(text: bytes, start: int) -> bool:
    """Return whether what stands beside a number of seven digits says that it is a participant's."""
    end = start + _DIGITS
    if _BULK_BEHIND.match(text[end : end + _BEHIND_NUMBER]):
        return True
    return _NAMED_BEFORE.search(text[max(0, start - _BEFORE_NUMBER) : start]) is not None


def _labels(window: Window, people: People | None) -> Iterator[Mark]:
    """Yield the first label of a BIDS dataset's participant that the study has."""
    if people is None or b"sub-" not in window.text:
        return
    for found in _LABEL.finditer(window.text, window.start):
        if window.has(found.start()) and people.has_label(found[1].decode()):
            yield Mark(Kind.EID, "the label of a participant of the study", window.place(found.start()))
            return


def _ids(window: Window, codes: NDArray[np.uint8], people: People | None) -> Iterator[Mark]:
    text = window.text
    if people is None and b"_id" not in text and b"_key" not in text:
        return
    starts, ends = find_runs(window, HEX, _ID_DIGITS, _ID_DIGITS)
    stand_alone = ~(_IS_ALPHANUMERIC[codes[starts - 1]] | _IS_ALPHANUMERIC[codes[ends]])
    for start in starts[stand_alone].tolist():
        end = start + _ID_DIGITS
        if people is not None and people.has_id(text[start:end].decode()):
            yield Mark(Kind.SAMPLE_ID, "the id of a sample or participant of the study", window.place(start))
            return
        if _SAMPLE_BEFORE.search(text[max(0, start - _BEFORE_NUMBER) : start]):
            yield Mark(Kind.SAMPLE_ID, "what looks like the id of a sample", window.place(start))
            return


def find_runs(
    window: Window, marking: bytes, shortest: int, longest: int | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where runs of marked bytes begin and end that the window judges.

    Parameters
    ----------
    marking
        Which bytes are marked, e.g. `DIGIT`.
    shortest, longest
        Bytes of a run; None: any number.
    """
    marks = np.frombuffer(b"\0%b\0" % window.text.translate(marking), dtype=np.uint8)
    edges = np.flatnonzero(marks[1:] != marks[:-1])
    starts, ends = edges[::2], edges[1::2]
    lengths = ends - starts
    chosen = (lengths >= shortest) & (starts >= window.start) & (starts < window.stop)
    if longest is not None:
        chosen &= lengths <= longest
    return starts[chosen], ends[chosen]


def _stands_alone(text: bytes, start: int) -> bool:
    """Return whether a number is no part of a fraction, of a longer number or of another word."""
    before, behind = text[max(0, start - 12) : start], text[start + _DIGITS : start + _DIGITS + 4]
    if re.search(rb"\d\.\Z", before):
        return False
    if re.match(rb"\.\d", behind) and not re.match(rb"\.0+(?!\d)", behind):
        return False
    return not re.search(rb"[A-Za-z]\Z", before) or _PREFIXES.search(before) is not None


def _is_tied(text: bytes, start: int) -> bool:
    """Return whether a number is written against a quote, a dash or a slash."""
    around = text[start - 1 : start] if start else b"", text[start + _DIGITS : start + _DIGITS + 1]
    return any(side and side in _TIED for side in around)


def _first(marks: Iterator[Mark]) -> Iterator[Mark]:
    """Yield the first mark of each kind."""
    seen = set()
    for mark in marks:
        if mark.kind not in seen:
            seen.add(mark.kind)
            yield mark


def _with_last(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each chunk, and whether it is the last; one that is empty where there is none."""
    before = None
    for chunk in chunks:
        if before is not None:
            yield before, False
        before = chunk
    yield before or b"", True
