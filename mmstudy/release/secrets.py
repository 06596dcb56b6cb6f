"""Keys, tokens and salts in bytes of any kind.

A pattern is tried only where the word that it begins with stands, which is found at the speed of memory.

Source: the forms that providers publish for their tokens, as gitleaks keeps them (config/gitleaks.toml).
"""

import re
from collections.abc import Iterator

from mmdata.salt import find_weakness
from mmstudy.release.kinds import Kind, Mark
from mmstudy.release.people import People
from mmstudy.release.text import Window

_TOKENS = (
    ("a private key", b"-----BEGIN ", rb"-----BEGIN (?:[A-Z0-9]+ ){0,2}PRIVATE KEY(?: BLOCK)?-----(?:\\n|\s)+[\w+/=:\-]"),
    ("a private key", b"PuTTY-User-Key-File-", rb"PuTTY-User-Key-File-\d:"),
    ("an access key of AWS", b"AKIA", rb"AKIA[A-Z2-7]{16}(?![A-Za-z0-9])"),
    ("an access key of AWS", b"ASIA", rb"ASIA[A-Z2-7]{16}(?![A-Za-z0-9])"),
    *(("a token of GitHub", b"gh%b_" % letter, rb"gh._[A-Za-z0-9]{36}") for letter in (b"p", b"o", b"u", b"s", b"r")),
    ("a token of GitHub", b"github_pat_", rb"github_pat_[A-Za-z0-9_]{60,}"),
    ("a token of GitLab", b"glpat-", rb"glpat-[A-Za-z0-9_\-]{20}"),
    ("a token of Hugging Face", b"hf_", rb"hf_[A-Za-z]{34}(?![A-Za-z])"),
    ("a token of a package index", b"pypi-AgE", rb"pypi-AgE[A-Za-z0-9_\-]{50,}"),
    ("a token of Slack", b"xox", rb"xox[abeoprs]-[A-Za-z0-9\-]{20,}"),
    ("a key of Google", b"AIza", rb"AIza[A-Za-z0-9_\-]{35}"),
    ("a key of an AI service", b"sk-", rb"sk-(?:proj-|ant-|svcacct-)?[A-Za-z0-9_\-]{32,}"),
    ("a signed token", b"eyJ", rb"eyJ[A-Za-z0-9_\-]{10,}\.eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}"),
    ("a token of DNAnexus", b"auth_token", rb"auth_token(?:_type)?\\?[\"']\s*:\s*\\?[\"'](?!Bearer)[A-Za-z0-9]{20,}"),
)
_SECRETS = tuple((what, word, re.compile(rb"(?<![A-Za-z0-9])" + pattern)) for what, word, pattern in _TOKENS)
_ASSIGNED = re.compile(
    rb"[a-z_]{0,12}[\"']?\s{0,4}(?:=|:|=>)\s{0,4}"
    rb"(?:[bru]?[\"']([A-Za-z0-9+/_\-.~]{20,200})[\"']|([A-Za-z0-9+/_\-]{20,200})=*\s*$)",
    re.IGNORECASE | re.MULTILINE,
)
_ASSIGNING = ("password", "passwd", "secret", "token", "api_key", "apikey", "access_key")
_SALT = re.compile(rb"[\"']?\s{0,4}(?:=|:)\s{0,4}[\"']?([\w+/=.~!@#$%^&*\-]{16,64})(?:[\"'\s,}]|\Z)", re.IGNORECASE)
_SALT_WORDS = ("salt",)
_LEAST_DIGITS, _LEAST_LETTERS, _LEAST_DISTINCT = 4, 4, 12


def find_secrets(window: Window, people: People | None) -> Iterator[Mark]:
    """Yield the first secret and the first salt of a window."""
    if (found := _first_token(window)) or (found := _first_assigned(window)):
        yield Mark(Kind.SECRET, *found)
    if (at := _first_salt(window, people)) is not None:
        yield Mark(Kind.SALT, "the salt of a study", window.place(at))


def _first_token(window: Window) -> tuple[str, str] | None:
    for what, word, pattern in _SECRETS:
        for position in _positions(window, word):
            if pattern.match(window.text, position):
                return what, window.place(position)
    return None


def _first_assigned(window: Window) -> tuple[str, str] | None:
    for position in _words(window, _ASSIGNING):
        found = _ASSIGNED.match(window.text, position)
        if found and _is_random((found[1] or found[2]).decode()):
            return "a password, key or token", window.place(position)
    return None


def _first_salt(window: Window, people: People | None) -> int | None:
    """Return where the study's own salt stands, or what looks like another study's."""
    if people is not None:
        for position in _positions(window, people.salt.encode()):
            return position
    for position in _words(window, _SALT_WORDS):
        found = _SALT.match(window.text, position + len("salt"))
        if found and re.search(rb"\d", found[1]) and not find_weakness(found[1].decode(errors="replace")):
            return position
    return None


def _is_random(text: str) -> bool:
    """Return whether a text looks drawn, not written.

    >>> _is_random("wJalrXUtnFEMI7K7MDENGbPxRfiCY9"), _is_random("tokens_of_the_model_1")
    (True, False)
    """
    num_digits, num_letters = sum(map(str.isdigit, text)), sum(map(str.isalpha, text))
    is_mixed = num_digits >= _LEAST_DIGITS and num_letters >= _LEAST_LETTERS
    return is_mixed and len(set(text)) >= _LEAST_DISTINCT and not find_weakness(text)


def _words(window: Window, words: tuple[str, ...]) -> Iterator[int]:
    """Yield where words stand, in each of the ways in which they are spelt."""
    for word in words:
        for spelling in dict.fromkeys((word, word.upper(), word.title())):
            yield from _positions(window, spelling.encode())


def _positions(window: Window, word: bytes) -> Iterator[int]:
    position = window.text.find(word, window.start)
    while 0 <= position < window.stop:
        yield position
        position = window.text.find(word, position + 1)
