"""What recipes become before they are applied: small tensors for a whole batch, made on the processor ahead of time.

A change is one kind of change to those volumes of a batch that have it. Which these are is known before anything is
computed, so the device is never waited for.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

T = TypeVar("T")


class Change(Protocol):
    """One kind of change, as tensors."""

    @property
    def index(self) -> torch.Tensor | None:
        """Which volumes of the batch are changed; None: all of them."""

    def apply(self, volumes_NXYZ: torch.Tensor) -> torch.Tensor:
        """Return those volumes, changed."""


def index_of(chosen: Sequence[int], num: int) -> torch.Tensor | None:
    """Return an index of some of `num` volumes; None where all of them are chosen."""
    return None if len(chosen) == num else torch.tensor(chosen)


def as_floats(values: object) -> torch.Tensor:
    """Return values as float32."""
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def map_tensors(change: T, function: Callable[[torch.Tensor], torch.Tensor]) -> T:
    """Return a change with a function applied to each of its tensors, for instance to bring it to a device."""

    def mapped(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return function(value)
        if isinstance(value, tuple):
            return tuple(map(mapped, value))
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{field.name: mapped(getattr(value, field.name)) for field in fields(value)})
        return value

    result: T = mapped(change)
    return result


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute matrix products in float32 even where a run has set TensorFloat-32: positions need more than 10 bits.

    PyTorch has two ways to set this, and its profiler fails where they disagree: runs are set by the same one.
    """
    matmul: Any = torch.backends.cuda.matmul
    allowed = matmul.allow_tf32
    matmul.allow_tf32 = False
    try:
        yield
    finally:
        matmul.allow_tf32 = allowed
