"""The field dictionary: which table columns become which feature, and how. Data in `ukb_fields.toml`."""

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

from catalog.errors import UnknownTargetError

SCAN_DATE_FIELD = 53
BLOCKS = ("constitutional", "disease", "serology", "psychology")
MISSING_DATES = ("1900-01-01", "1901-01-01", "1902-02-02", "1903-03-03", "2037-07-07")
"""Special values of first-occurrence dates (coding 819)."""
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """One way to find that a derived feature is 1."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    field: int
    codes: tuple[int, ...] = ()
    dated: bool = False
    answers: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureDefinition:
    """How one feature is made; see the head of `ukb_fields.toml`."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    kind: Literal["continuous", "binary"]
    unit: str
    block: Literal["constitutional", "disease", "serology", "psychology", ""]
    target: bool = True
    field: int | None = None
    policy: Literal["same", "nearest", "earliest"] = "nearest"
    missing: tuple[int, ...] = ()
    texts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    recode: Mapping[int, float] | None = None
    any_of: tuple[Evidence, ...] = ()

    def __post_init__(self) -> None:
        if (self.field is None) == (not self.any_of):
            raise ValueError("expected either a field or any_of")

    @property
    def fields(self) -> tuple[int, ...]:
        """Every showcase field it is made from."""
        return (self.field,) if self.field is not None else tuple(part.field for part in self.any_of)


@cache
def load_dictionary() -> Mapping[str, FeatureDefinition]:
    """Return the definitions by feature name."""
    entries: dict[str, Any] = tomllib.loads((Path(__file__).parent / "ukb_fields.toml").read_text(encoding="utf-8"))
    return TypeAdapter(dict[str, FeatureDefinition]).validate_python(entries)


def find_target(name: str) -> FeatureDefinition:
    """Return a target's definition.

    Raises
    ------
    UnknownTargetError
        There is none of that name; the message suggests the nearest.
    """
    targets = {key: definition for key, definition in load_dictionary().items() if definition.target}
    if name not in targets:
        near = difflib.get_close_matches(name.lower(), {key.lower(): key for key in targets}, n=1, cutoff=0.5)
        nearest = next((key for key in targets if near and key.lower() == near[0]), None)
        hint = f" Did you mean {nearest}?" if nearest else ""
        raise UnknownTargetError(f"Unknown target {name!r}.{hint} Known targets: {', '.join(targets)}.")
    return targets[name]


def metadata_features(target: str, blocks: Sequence[str]) -> list[str]:
    """Return the features that stand beside the images as input: the blocks asked for, never the target's own.

    Raises
    ------
    UnknownTargetError
        A block is not one of `BLOCKS`, or only the target's own is asked for.
    """
    unknown = [block for block in blocks if block not in BLOCKS]
    if unknown:
        raise UnknownTargetError(f"Unknown block {unknown[0]!r}. Known blocks: {', '.join(BLOCKS)}.")
    own_block = find_target(target).block
    if set(blocks) == {own_block}:
        raise UnknownTargetError(
            f"{target} belongs to the block {own_block}, which is left out as input to it. Give another block."
        )
    return [
        name
        for name, definition in load_dictionary().items()
        if definition.target and definition.block in blocks and definition.block != own_block
    ]
