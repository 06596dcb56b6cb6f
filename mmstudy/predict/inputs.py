"""Which inputs a sample has, and whether the models can do with them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from mmbase.names import METADATA
from mmstudy.predict.samples import Fault

_SHOWN_NAMES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedInputs:
    """What some models take together."""

    every: tuple[str, ...]
    """Modalities, and metadata."""
    needed: frozenset[str]
    """Those that one of the models at least cannot do without."""
    features: tuple[str, ...]
    """Tabular features that they see."""
    of_models: tuple[frozenset[str], ...]
    """Inputs of each model, of which it needs one at least."""
    needed_features: tuple[str, ...] = ()
    """Those of which it is not known what stands for a missing value."""


def find_faults(
    wanted: WantedInputs, present: Collection[str], rejected: Mapping[str, Fault], features: Mapping[str, float]
) -> list[Fault]:
    """Return why a sample cannot be predicted from what it has; nothing where it can.

    Parameters
    ----------
    rejected
        By modality, why a scan that is there cannot be used.
    features
        Name to value, NaN or left out where it is missing.
    """
    missing = set(wanted.needed.difference(present)).union(
        *(inputs for inputs in wanted.of_models if inputs.isdisjoint(present))
    )
    faults = [rejected.get(name, _lacks_input(name)) for name in wanted.every if name in missing]
    if METADATA in present:
        faults += [
            _lacks_feature(name) for name in wanted.needed_features if not np.isfinite(features.get(name, np.nan))
        ]
    return faults


def lacking_inputs(wanted: WantedInputs, present: Collection[str]) -> tuple[str, ...]:
    """Return the inputs that a sample does not have."""
    return tuple(name for name in wanted.every if name not in present)


def missing_warnings(
    wanted: WantedInputs, present: Collection[str], rejected: Mapping[str, Fault], features: Mapping[str, float]
) -> list[str]:
    """Return what a prediction is made without."""
    lacking = lacking_inputs(wanted, present)
    told = [f"without {name} ({rejected[name].name})" if name in rejected else f"without {name}" for name in lacking]
    unknown = [name for name in wanted.features if not np.isfinite(features.get(name, np.nan))]
    if METADATA in present and unknown:
        more = f" and {len(unknown) - _SHOWN_NAMES} more" if len(unknown) > _SHOWN_NAMES else ""
        told.append(f"no value of {', '.join(unknown[:_SHOWN_NAMES])}{more}")
    return told


def has_features(wanted: WantedInputs, features: Mapping[str, float]) -> bool:
    """Return whether one of the features that the models see is known: without any, a model would see means alone."""
    return any(np.isfinite(features.get(name, np.nan)) for name in wanted.features)


def _lacks_input(name: str) -> Fault:
    return _lacks(name, "an input of the model", "Give it, or use a model that was trained without it.")


def _lacks_feature(name: str) -> Fault:
    return _lacks(name, "a value of this feature", "Give a table that has it.")


def _lacks(name: str, expected: str, remedy: str) -> Fault:
    return Fault(name=f"no {name}", text=f"no {name}: expected {expected}, got none. {remedy}")
