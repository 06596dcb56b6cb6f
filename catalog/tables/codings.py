"""Labels and the codes they stand for, where a table was exported with labels in place of codes."""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """What the labels of one field mean."""

    codes: Mapping[str, float]
    """Code by label, as `fold` leaves it."""
    is_known: bool
    """Whether mm has the field's coding."""
    other: float | None = None
    """What stands for every label that is not listed; None where all there are should be listed."""

    def can_tell(self, codes: Collection[int]) -> bool:
        """Return whether every code has a label, so that a label that is not listed stands for none of them."""
        return set(codes) <= set(self.codes.values())


def find_labels(field: int, codes: Collection[int], *, is_date: bool) -> Labels:
    """Return the labels of a field.

    Parameters
    ----------
    codes
        Codes that definitions speak of. What means "do not know" or "prefer not to answer" in most fields is believed
        only where they speak of its code, because some fields have others for it.
    is_date
        The field holds dates: the codes are days since 1970-01-01.
    """
    if is_date:
        return Labels(codes=_date_labels(), is_known=False)
    everywhere = {label: code for label, code in _read_file()["everywhere"].items() if code in codes}
    for coding in _read_file()["codings"]:
        if field in coding["fields"]:
            return Labels(codes={**everywhere, **coding["labels"]}, is_known=True, other=coding.get("other"))
    return Labels(codes=everywhere, is_known=False)


def fold(label: str) -> str:
    """Return a label as it is compared: without case, doubled or surrounding blanks, and with straight apostrophes.

    >>> fold(" Prefer  not to answer")
    'prefer not to answer'
    """
    return re.sub(r"\s+", " ", label.replace("’", "'")).strip().lower()


@cache
def _date_labels() -> dict[str, float]:
    return {label: float((day - _EPOCH).days) for label, day in _read_file()["dates"].items()}


@cache
def _read_file() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parents[1] / "ukb_codings.toml").read_text(encoding="utf-8"))
