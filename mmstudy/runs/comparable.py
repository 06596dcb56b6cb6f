"""What must be equal of two runs before their scores are compared: who was used for what, and how they were trained.

Terms
-----
participants    who trains, validates and tests, among those who have a label of the target.
regime          the settings of data and optimisation by which two models could come out differently, but for what the
                comparison is of (inputs, network with its own settings, and seed) and for augmentation. A run that was
                changed or ended early after it had begun has a regime of its own.
augmentation    how the volumes of training samples are changed; a run without volumes has none.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import polars as pl

from catalog.cohorts import TARGET, TARGET_PREFIX
from mmbase.json_text import DamagedTextError, read_json
from mmtrain.config.augmentation import AugmentationConfig
from mmtrain.config.optimisation import OptimisationConfig
from mmtrain.config.run import RunConfig
from mmtrain.models.names import FITTED_AT_ONCE
from mmtrain.run import RunDirectory

_OF_DATA = (
    *("split", "side", "balance", "volume_scaling", "feature_scaling", "clamp_labels"),
    *("data_size", "diagnostic", "keep_own_block"),
)
_OF_SPEED = ("compile", "compile_mode", "deterministic", "seed")
"""Settings of optimisation that may differ: two runs of them differ by rounding or by chance alone."""
EQUAL_SETTINGS = (
    *_OF_DATA,
    *(field.name for field in fields(OptimisationConfig) if field.name not in _OF_SPEED),
)
"""Settings that a regime is made of."""
_AUGMENTATION = tuple(field.name for field in fields(AugmentationConfig))
_DIGEST_BYTES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparable:
    """What must be equal, as hashes that are kept with a run; without any, a run of an older mm."""

    regime: str | None = None
    augmentation: str | None = None
    """None: no volumes, or a network that is fitted at once to the volumes as they are."""
    participants: Mapping[str, str] = field(default_factory=dict)
    """By target."""


@dataclass(frozen=True, slots=True)
class _Change:
    """What was changed of a run after it had begun."""

    epoch: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    finished: bool = False


@dataclass(frozen=True, slots=True)
class _Record:
    """What is read of config.json."""

    comparable: Comparable = field(default_factory=Comparable)
    changes: list[_Change] = field(default_factory=list)


def comparable_of(config: RunConfig, cohort: pl.DataFrame) -> Comparable:
    """Return what must be equal of other runs that a run is compared with.

    Parameters
    ----------
    cohort
        As `catalog.cohorts` makes it.
    """
    return Comparable(
        regime=_digest_of_settings(config, EQUAL_SETTINGS),
        augmentation=_digest_of_settings(config, _AUGMENTATION) if _augments(config) else None,
        participants=participants_of(cohort, [target.name for target in config.data.targets]),
    )


def read_comparable(run: RunDirectory) -> Comparable:
    """Return what a run kept; nothing where it kept nothing, or its config.json cannot be read."""
    try:
        record = read_json(run.config, _Record)
    except (OSError, DamagedTextError):
        return Comparable()
    changes = [plain for change in record.changes if (plain := _changed_regime(change)) is not None]
    if record.comparable.regime is None or not changes:
        return record.comparable
    return replace(record.comparable, regime=_digest([record.comparable.regime, changes]))


def _changed_regime(change: _Change) -> list[Any] | None:
    """Return what a change makes of the regime; None where it changes speed alone."""
    settings = {name: value for name, value in change.settings.items() if name in EQUAL_SETTINGS}
    return [change.epoch, settings, change.finished] if settings or change.finished else None


def participants_of(cohort: pl.DataFrame, targets: Sequence[str]) -> dict[str, str]:
    """Return for each target of a cohort the hash of who is in which split, among the samples that have its label."""
    labels = {name: TARGET_PREFIX + name if len(targets) > 1 else TARGET for name in targets}
    return {
        name: _digest(cohort.filter(pl.col(label).is_not_null()).select("sample_id", "split").sort("sample_id").rows())
        for name, label in labels.items()
    }


def _augments(config: RunConfig) -> bool:
    return bool(config.data.volume_inputs) and config.model.model not in FITTED_AT_ONCE


def _digest_of_settings(config: RunConfig, names: Collection[str]) -> str:
    settings = config.to_json()
    return _digest({name: settings[name] for name in names})


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, default=list)
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
