"""Keys, tokens, salts and packed images in bytes of any kind.

Terms
-----
word       a run of letters, digits and a few signs. A secret is a long one; only these are looked at.

Source: the forms that providers publish for their tokens, as gitleaks keeps them (config/gitleaks.toml).
"""

import base64
import binascii
import re
import zlib
from collections.abc import Iterator

from mmdata.salt import find_weakness
from mmstudy.release.forms import known_form
from mmstudy.release.kinds import Kind, Mark
from mmstudy.release.people import People
from mmstudy.release.text import MARGIN, WORD, Window, find_runs

_TOKENS = {
    "an access key of AWS": rb"A[KS]IA[A-Z2-7]{16}",
    "a token of GitHub": rb"gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,}",
    "a token of GitLab": rb"glpat-[\w\-]{20}",
    "a token of Hugging Face": rb"hf_[A-Za-z]{34}",
    "a token of a package index": rb"pypi-AgE[\w\-]{50,}",
    "a token of Slack": rb"xox[abeoprs]-[A-Za-z0-9\-]{20,}",
    "a key of Google": rb"AIza[\w\-]{35}",
    "a key of an AI service": rb"sk-(?:proj-|ant-|svcacct-)?(?=[a-z\-]*[A-Z0-9])[\w\-]{32,}",
    "a signed token": rb"eyJ[\w\-]{10,}\.eyJ[\w\-]{10,}\.[\w\-]{10,}",
}
_TOKEN = re.compile(
    b"(?<![A-Za-z0-9])(?:" + b"|".join(b"(%b)" % pattern for pattern in _TOKENS.values()) + b")(?![A-Za-z0-9])"
)
_SALT_BEFORE = re.compile(rb"salt[\"']?\s{0,4}[=:]\s{0,4}[bru]?[\"']?\Z", re.IGNORECASE)
_SECRET_BEFORE = re.compile(
    rb"(?:password|passwd|secret|token|api_?key|access_?key)[a-z_]{0,12}[\"']?\s{0,4}(?:=|:|=>)\s{0,4}[bru]?[\"']?\Z",
    re.IGNORECASE,
)
_KEY = re.compile(rb"PRIVATE KEY(?: BLOCK)?-----(?:\\n|\s)+[\w+/=:\-]")
_PACKED = (b"H4sI", b"XAEAA")
"""In base64: what gzip has packed, and a NIfTI header."""
_LEAST_SALT, _LEAST_SECRET = 16, 20
_BEFORE = 48
_LEAST_DIGITS, _LEAST_LETTERS, _LEAST_DISTINCT = 3, 4, 12
_WRITTEN = re.compile(r"(?:[A-Za-z]+|\d+)(?:[_\-./+]+(?:[A-Za-z]+|\d+))*")
"""Words and numbers with something between them."""
_LONGEST_SECRET = 200


def find_secrets(window: Window, people: People | None) -> Iterator[Mark]:
    """Yield the secrets, salts and packed images of a window, of each kind the first."""
    seen: set[Kind] = set()
    for mark in (*_keys(window, people), *_words(window)):
        if mark.kind not in seen:
            seen.add(mark.kind)
            yield mark


def _keys(window: Window, people: People | None) -> Iterator[Mark]:
    """Yield the study's own salt, and private keys."""
    if people is not None and window.has(position := window.text.find(people.salt.encode(), window.start)):
        yield Mark(Kind.SALT, "the salt of the study", window.place(position))
    position = window.text.find(b"PRIVATE KEY", window.start)
    while window.has(position):
        if window.text[:position].endswith((b"-----BEGIN ", b" ")) and _KEY.match(window.text, position):
            yield Mark(Kind.SECRET, "a private key", window.place(position))
        position = window.text.find(b"PRIVATE KEY", position + 1)


def _words(window: Window) -> Iterator[Mark]:
    """Yield what long words are, by themselves or by what stands before them."""
    text = window.text
    for start, end in zip(*(places.tolist() for places in find_runs(window, WORD, _LEAST_SALT)), strict=True):
        word = text[start:end]
        if found := _TOKEN.search(text, start, min(end + MARGIN, len(text)) if word.startswith(b"eyJ") else end):
            yield Mark(Kind.SECRET, list(_TOKENS)[(found.lastindex or 1) - 1], window.place(start))
        if word.startswith(_PACKED) and (form := known_form(_decoded(text[start : start + MARGIN]), ())):
            yield Mark(form.kind, f"{form.what}, in base64", window.place(start))
        if end - start > _LONGEST_SECRET or word.isalpha():
            continue
        before = text[max(0, start - _BEFORE) : start]
        if _SALT_BEFORE.search(before) and any(48 <= code < 58 for code in word) and not find_weakness(word.decode()):
            yield Mark(Kind.SALT, "the salt of a study", window.place(start))
        elif end - start >= _LEAST_SECRET and _SECRET_BEFORE.search(before) and is_random(word.decode()):
            yield Mark(Kind.SECRET, "a password, key or token", window.place(start))


def is_random(text: str) -> bool:
    """Return whether a text looks drawn, not written.

    >>> is_random("wJalrXUtnFEMI7K7MDENGbPxRfiCY9"), is_random("tokens_of_the_model_2024")
    (True, False)
    """
    if _WRITTEN.fullmatch(text):
        return False
    num_digits, num_letters = sum(map(str.isdigit, text)), sum(map(str.isalpha, text))
    is_mixed = num_digits >= _LEAST_DIGITS and num_letters >= _LEAST_LETTERS
    return is_mixed and len(set(text)) >= _LEAST_DISTINCT and not find_weakness(text)


def _decoded(encoded: bytes) -> bytes:
    """Return what some characters in base64 stand for, unpacked; nothing where they are none."""
    found = re.match(rb"[A-Za-z0-9+/]*", encoded)
    assert found is not None  # nothing matches too
    text = found[0][: len(found[0]) // 4 * 4]
    try:
        content = base64.b64decode(text)
        return zlib.decompressobj(31).decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (binascii.Error, zlib.error):
        return b""
