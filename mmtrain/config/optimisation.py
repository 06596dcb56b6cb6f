"""How weights are found: everything, beside data and network, that decides what model comes out."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict

from mmbase.settings import STRICT, Option
from mmtrain.errors import TrainError

Schedule = Literal["constant", "cosine", "linear"]
Precision = Literal["auto", "float32", "tf32", "bfloat16", "float16", "float64"]
CompileMode = Literal["default", "reduce-overhead", "max-autotune"]
MIN_BATCH_SIZE = 3
MIN_PART = 2
"""Samples over which batch normalisation has a variance."""
_POSITIVE = ("epochs", "patience", "batch_size", "learning_rate", "clip_norm", "accumulate")


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimisationConfig:
    """How weights are found."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    epochs: int = 200
    """Passes over the training samples, at most."""
    patience: int = 30
    """Stop after so many epochs without a better validation loss."""
    batch_size: int = 64
    """Samples in a training batch, over all GPUs together."""
    accumulate: int = 1
    """Compute a batch in so many parts, one after the other, when it does not fit into memory; batch norm then sees
    one part at a time."""
    learning_rate: float = 1e-4
    """Step size of the optimiser, Adam."""
    schedule: Schedule = "constant"
    """How the learning rate falls to 0 over the epochs: constant (not at all), along half a cosine, or linear."""
    warmup_epochs: float = 0.0
    """Epochs at the start over which the learning rate rises to its value; useful with large batches."""
    clip_norm: float | None = None
    """Shorten gradients whose Euclidean norm over all weights is larger; left out: none."""
    drop_last: Annotated[bool, Option(negatable=True)] = False
    """Drop the samples that do not fill a batch, as the reference does; otherwise batches share them evenly."""
    sync_batch_norm: Annotated[bool, Option(negatable=True)] = True
    """With several GPUs: take the moments of batch norm over the whole batch, so that their number changes nothing."""
    calibration_samples: Annotated[int, Option(minimum=0)] = 512
    """Training samples on which batch norm is measured again before each validation; 0: never, as the reference."""
    penalty_in_validation: Annotated[bool, Option(negatable=True)] = False
    """Add the network's penalty to the loss of validation and test, as the reference; otherwise the loss by which the
    best epoch is chosen measures the fit alone."""
    precision: Precision = "auto"
    """Number type of the arithmetic; auto is bfloat16 on a GPU that has it (A100 and later) and float32 elsewhere, and
    stays what it was where the run began. tf32: float32 with faster, coarser products, on an A100 and later. float16,
    with loss scaling: for older GPUs. float64: to compare runs without rounding noise."""
    compile: Annotated[bool, Option(negatable=True)] = False
    """Fuse the operations of training steps with torch.compile: minutes at the start, faster steps after."""
    compile_mode: CompileMode = "default"
    """What --compile does on a GPU, in PyTorch's words: reduce-overhead replays each step as a CUDA graph, max-autotune
    also tries other kernels, for more minutes at the start."""
    deterministic: Annotated[bool, Option(negatable=True)] = False
    """On a GPU: the same losses to the last bit when repeated; slower."""
    seed: int = 1337
    """Of initial weights, sample order, choice of copies and dropout: same seed, same model."""

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if not (getattr(self, name) is None or 0 < getattr(self, name) < float("inf")):
                raise TrainError(f"{name} must be a positive number, got {getattr(self, name)}.")
        if not 0 <= self.warmup_epochs <= self.epochs:
            raise TrainError(f"warmup_epochs must be 0 to {self.epochs}, the epochs, got {self.warmup_epochs}.")
        if self.batch_size < MIN_BATCH_SIZE:
            raise TrainError(
                f"batch_size must be at least {MIN_BATCH_SIZE}: batch normalisation has no variance over the one "
                "sample that smaller batches may leave over."
            )
        if self.calibration_samples < 0:
            raise TrainError(f"calibration_samples must not be negative, got {self.calibration_samples}.")
        if self.accumulate * MIN_PART > self.batch_size:
            raise TrainError(
                f"A batch of {self.batch_size} cannot be computed in {self.accumulate} parts: "
                f"each needs {MIN_PART} samples."
            )
