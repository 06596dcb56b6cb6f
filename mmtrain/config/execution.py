"""Where a run computes and reads, and how often it saves: what may differ when it is resumed."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict

from mmbase.settings import STRICT, Option
from mmtrain.errors import TrainError

DEFAULT_PREFETCH_BYTES = 96 << 20
"""A few batches: enough to keep reads running, little enough to stay near the processor."""
_POSITIVE = ("prefetch_bytes", "checkpoint_minutes", "hang_seconds")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionConfig:
    """Where a run computes and reads, and how often it saves."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes a GPU if there is one."""
    stores: str = ""
    """Read copies of the stores in this folder or at s3://BUCKET/PREFIX instead of the study's own."""
    prefetch_bytes: Annotated[int, Option("--prefetch-mb", factor=1 << 20, minimum=1)] = DEFAULT_PREFETCH_BYTES
    """Memory of each GPU's process for batches that are read ahead."""
    checkpoint_minutes: float = 10.0
    """Minutes of work that a kill may cost: between checkpoints within an epoch; there is one after each epoch too."""
    hang_seconds: float = 1800.0
    """With several GPUs: stop, and name the one that hangs, after so long without a new batch."""

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if not 0 < getattr(self, name) < float("inf"):
                raise TrainError(f"{name} must be a positive number, got {getattr(self, name)}.")
