"""The field dictionary: which table columns become which feature, and how.

What mm knows of UK Biobank is data in `ukb_fields.toml`; a study adds to it, or changes it, under ``[features]`` of its
settings. Whoever needs the dictionary is given it.
"""

import dataclasses
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, TypeAdapter, ValidationError

from catalog.errors import DictionaryError, UnknownTargetError
from mmbase.json_text import shortened
from mmbase.suggestion import did_you_mean

SCAN_DATE_FIELD = 53
REFERENCE_BLOCKS = ("constitutional", "disease", "serology", "psychology")
"""The reference study's groups of features; a study may have others beside them."""
MISSING_DATES = ("1900-01-01", "1901-01-01", "1902-02-02", "1903-03-03", "1909-09-09", "2037-07-07")
"""Special values of first-occurrence dates (coding 819)."""
_STRICT = ConfigDict(extra="forbid")
_NAME = re.compile(r"(?!(?:eid|participant_id|id|sample_id|row|split)$)[A-Za-z]\w*", re.ASCII)
"""Names that tables and exports have a meaning of their own for are left out."""

Kind: TypeAlias = Literal["continuous", "binary", "categorical", "date"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """One way to find that a derived feature is 1."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    field: int
    codes: tuple[int, ...] = ()
    dated: bool = False
    at_least: float | None = None
    at_most: float | None = None
    answers: bool = False
    missing: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        has_range = self.at_least is not None or self.at_most is not None
        if bool(self.codes) + self.dated + has_range != 1:
            raise ValueError("expected exactly one of codes, dated, and at_least or at_most")


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureDefinition:
    """How one feature is made; see the head of `ukb_fields.toml`."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    kind: Kind
    unit: str = ""
    block: str = ""
    target: bool = True
    field: int | None = None
    policy: Literal["same", "nearest", "earliest", "fixed"] = "nearest"
    instance: int | None = None
    arrays: Literal["first", "mean"] = "first"
    missing: tuple[int, ...] = ()
    texts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    names: tuple[str, ...] = ()
    recode: Mapping[int, float] | None = None
    any_of: tuple[Evidence, ...] = ()
    plausible: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if min((*self.fields, 1)) < 1 or (self.instance or 0) < 0:
            raise ValueError("expected a field of 1 or more and an instance of 0 or more")
        if (self.field is None) == (not self.any_of):
            raise ValueError("expected either a field or any_of")
        if (self.policy == "fixed") != (self.instance is not None):
            raise ValueError('expected an instance with policy "fixed", and with no other')
        if self.any_of and self.kind != "binary":
            raise ValueError('expected kind "binary" with any_of')
        if self.kind in ("categorical", "date") and (self.block or self.target):
            raise ValueError(f'expected target = false and no block for kind "{self.kind}": it is no number to learn')

    @property
    def fields(self) -> tuple[int, ...]:
        """Every showcase field it is made from."""
        return (self.field,) if self.field is not None else tuple(part.field for part in self.any_of)


Dictionary: TypeAlias = Mapping[str, FeatureDefinition]
"""Definitions by feature name, in the order they are shown."""


def load_dictionary(additions: Mapping[str, Any] | None = None) -> Dictionary:
    """Return what mm knows of UK Biobank, with a study's own definitions added to it or in place of it.

    Parameters
    ----------
    additions
        Name to settings of `FeatureDefinition`, as they stand in `study.toml`.

    Raises
    ------
    DictionaryError
        Names the definition, what was expected and what came.
    """
    own = {name: _parse_definition(name, entry) for name, entry in (additions or {}).items()}
    return {**_ukb_dictionary(), **own}


def find_target(dictionary: Dictionary, name: str) -> FeatureDefinition:
    """Return the definition of a feature that a model can predict.

    Raises
    ------
    UnknownTargetError
        There is none of that name, and the message suggests the nearest; or it is no number to predict.
    """
    if name not in dictionary:
        targets = [key for key, definition in dictionary.items() if definition.target]
        raise UnknownTargetError(
            f"Unknown target {name!r}.{did_you_mean(name, dictionary)} Known targets: {', '.join(targets)}.",
            "Any other field becomes one with a few lines under "
            f"[features.{name if _NAME.fullmatch(name) else 'NAME'}] in study.toml: docs/labels.md.",
        )
    definition = dictionary[name]
    if definition.kind not in ("continuous", "binary"):
        raise UnknownTargetError(f"{name} is {definition.kind}, and a target must be continuous or binary.")
    return definition


def block_names(dictionary: Dictionary) -> tuple[str, ...]:
    """Return the blocks there are, the reference's first."""
    own = dict.fromkeys(definition.block for definition in dictionary.values() if definition.block)
    return tuple(dict.fromkeys((*REFERENCE_BLOCKS, *own)))


def metadata_features(dictionary: Dictionary, target: str) -> list[str]:
    """Return the tabular features that stand beside the images as input: all that belong to a block, but the target."""
    return [name for name, definition in dictionary.items() if definition.block and name != target]


def shown_features(
    dictionary: Dictionary, target: str, blocks: Sequence[str], *, keep_own_block: bool = False
) -> list[str]:
    """Return those of `metadata_features` that a model sees; it gets zeros for the others.

    Parameters
    ----------
    blocks
        Asked for.
    keep_own_block
        Show the target's own block too, which the reference zeroes.

    Raises
    ------
    UnknownTargetError
        A block is not known, or only the target's own is asked for.
    """
    known = block_names(dictionary)
    if unknown := [block for block in blocks if block not in known]:
        raise UnknownTargetError(
            f"Unknown block {unknown[0]!r}.{did_you_mean(unknown[0], known)} Known blocks: {', '.join(known)}."
        )
    own_block = find_target(dictionary, target).block
    if set(blocks) == {own_block} and not keep_own_block:
        raise UnknownTargetError(
            f"{target} belongs to the block {own_block}, which is left out as input to it.",
            "Give another block, or --keep-own-block.",
        )
    return [
        name
        for name in metadata_features(dictionary, target)
        if dictionary[name].block in blocks and (keep_own_block or dictionary[name].block != own_block)
    ]


@cache
def _ukb_dictionary() -> Dictionary:
    entries: dict[str, Any] = tomllib.loads((Path(__file__).parent / "ukb_fields.toml").read_text(encoding="utf-8"))
    return {name: _parse_definition(name, entry) for name, entry in entries.items()}


@cache
def _definition_type() -> TypeAdapter[FeatureDefinition]:
    """Build the validator once: it takes longer than all that it validates."""
    return TypeAdapter(FeatureDefinition)


def _parse_definition(name: str, entry: Any) -> FeatureDefinition:
    if not _NAME.fullmatch(name):
        raise DictionaryError(
            f"The feature {shortened(name)} cannot have this name. Expected a letter, then letters, digits, _; and not "
            "eid, participant_id, id, sample_id, row or split, which tables and exports have."
        )
    try:
        return _definition_type().validate_python(entry)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'definition'}: {fault['msg']}, got {shortened(fault['input'])}"
            for fault in error.errors()
        )
        raise DictionaryError(
            f"The feature {name} cannot be used as it is defined: {faults}.", "See docs/labels.md."
        ) from error
