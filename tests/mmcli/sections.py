"""Two small sections of settings that tests make options and tables of."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from mmbase.settings import DERIVED, Option


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What is read.

    Not part of the table.
    """

    inputs: Annotated[tuple[str, ...], Option(separators=",+")] = ()
    """Modalities, e.g. ``t1``; empty: all."""
    metadata_blocks: Annotated[tuple[str, ...], Option("--metadata-block", repeatable=True)] = ()
    """Group of features."""
    prefetch_bytes: Annotated[int, Option("--prefetch-mb", factor=2**20, minimum=1)] = 96 * 2**20
    """Memory for batches, in MiB."""
    stores: Annotated[str, Option(is_setting=False)] = ""
    """Folder of the stores."""
    extent_mm: Annotated[float, DERIVED] = 192.0
    """Edge of the volumes."""
    changes: Annotated[dict[str, float], Option(is_option=False)] = field(default_factory=dict)
    """Set in the file alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitting:
    """How weights are fitted."""

    channels: tuple[int, ...] = (16, 32)
    """Width of each stage."""
    epochs: int = 200
    """Most epochs."""
    rate: float = 1e-4
    """Step size."""
    clip_norm: float | None = None
    """Longest gradient."""
    precision: Literal["auto", "float32"] = "auto"
    """Number type: auto | float32."""
    compile: bool = False
    """Fuse operations."""
    sync_batch_norm: Annotated[bool, Option(negatable=True)] = True
    """Batch norm over all ranks."""
    shuffle: bool = True
    """Do not shuffle."""
