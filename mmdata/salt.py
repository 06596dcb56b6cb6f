"""How hard a study's salt is to guess: whoever knows it can work out which sample is which participant.

Participant numbers have seven digits, so all of them can be hashed in seconds: the salt alone keeps them apart.

Source: NIST SP 800-63B-4, 3.1.1.2 (blocklists of common, repetitive and sequential words).
"""

import re
from itertools import pairwise

MIN_DISTINCT = 8
"""Different characters of a salt; 16 random hexadecimal digits have fewer once in 140."""
MAX_SEQUENTIAL_SHARE = 0.7
"""Of neighbours that follow each other, as in ``0123456789abcdef``; random digits never come near it."""
_KEYBOARD = "qwertyuiop asdfghjkl zxcvbnm qwertzuiop azertyuiop"
_PLACEHOLDER_TEXT = re.compile(
    r"(?:[\W\d_]|bar|baz|change|changeit|changeme|default|dummy|enter|example|foo|here|insert|is|key|long|me|my|pass|"
    r"passphrase|passwd|password|placeholder|please|private|put|random|replace|salt|sample|secret|some|string|study|super|"
    r"test|the|this|to|todo|unique|use|value|very|with|word|xxx|your|yours)+"
)
"""Texts that documentation puts where a secret belongs."""


def find_weakness(salt: str) -> str:
    """Return what makes a salt easy to guess; empty for one that is not.

    >>> find_weakness("my-secret-salt-12345")
    'it is made of words that stand for a secret'
    >>> find_weakness("0123456789abcdef"), find_weakness("a-demo-needs-no-secret")
    ('its characters follow each other', '')
    """
    text = salt.lower()
    if text in (text + text)[1:-1]:
        return "it repeats itself"
    if len(set(text)) < MIN_DISTINCT:
        return f"it has fewer than {MIN_DISTINCT} different characters"
    if sum(map(_follow, *zip(*pairwise(text), strict=True))) > MAX_SEQUENTIAL_SHARE * (len(text) - 1):
        return "its characters follow each other"
    if _PLACEHOLDER_TEXT.fullmatch(text) and re.search(r"[^\W\d_]{2}", text):
        return "it is made of words that stand for a secret"
    return ""


def _follow(one: str, other: str) -> bool:
    """Return whether two characters are neighbours in their alphabet or on a keyboard."""
    return one == other or abs(ord(one) - ord(other)) == 1 or one + other in _KEYBOARD
