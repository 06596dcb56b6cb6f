"""The settings of one run: everything that, with its cohort and its stores, decides what model comes out."""

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from mmdata.augment.parameters import AugmentSettings
from mmdata.store.schema import CONNECTIVITY, MODALITIES, VOLUME_MODALITIES
from mmtrain.data.stream import DEFAULT_PREFETCH_BYTES
from mmtrain.errors import TrainError
from mmtrain.precision import Precision
from mmtrain.schedule import Schedule

METADATA = "metadata"
INPUTS = (*MODALITIES, METADATA)
MIN_STAGES, MAX_STAGES = 2, 6
MIN_BATCH_SIZE = 3
MIN_PART = 2
"""Samples over which batch normalisation has a variance."""
_POSITIVE = (
    "epochs",
    "patience",
    "batch_size",
    "learning_rate",
    "clip_norm",
    "accumulate",
    "prefetch_bytes",
    "checkpoint_minutes",
    "hang_seconds",
)
_REFERENCE_CHANNELS = {32: (16, 32, 64, 128), 64: (32, 64, 128, 256, 256), 128: (32, 64, 128, 256, 256, 256)}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Settings of one run. The defaults are the reference study's, where it has one."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    target: str
    """What to predict: a name of the field dictionary."""
    kind: Literal["regression", "classification"]
    """Continuous targets are regressed, binary ones classified."""
    unit: str
    """The target's unit, for axes and tables."""
    inputs: tuple[str, ...]
    """Any of flair, t1, dwi, connectivity, metadata."""
    metadata_blocks: tuple[str, ...] = ()
    """Groups of tabular features that the model sees."""
    keep_own_block: bool = False
    """Let the model see the target's own group too, if it was asked for; the reference never does."""
    features: tuple[str, ...] = ()
    """Every tabular feature beside the target, in the order of the network's inputs."""
    shown_features: tuple[str, ...] = ()
    """Those of `features` that the model sees; it gets zeros for the others."""
    split: str = "study"
    """Who trains, validates and tests: the study's own split, a fold such as fold-2/5, or all centres but one, such as
    without-centre-11025."""
    side: int = 64
    """Resolution level of the volumes, in voxels per edge."""
    channels: tuple[int, ...] = ()
    """Channels of each stage of the imaging network; empty: by side, as the reference (32: a small one)."""
    connectivity: str = "glasser360"
    """Name of the connectivity array."""
    epochs: int = 200
    """Most epochs to train."""
    patience: int = 30
    """Epochs without a better validation loss after which training stops."""
    batch_size: int = 64
    """Samples in a training batch."""
    learning_rate: float = 1e-4
    """Of Adam."""
    schedule: Schedule = "constant"
    """Keep the learning rate, or let it fall to 0 over the epochs: along half a cosine, or evenly."""
    warmup_epochs: float = 0.0
    """Epochs over which the learning rate rises to its value; of use with large batches."""
    clip_norm: float | None = None
    """Longest gradient, by its Euclidean norm over all weights; a longer one is shortened to it."""
    accumulate: int = 1
    """Parts of a batch that are computed one after the other before a step, so that a large batch fits into memory;
    batch norm then sees a part at a time."""
    sync_batch_norm: bool = True
    """Take the moments of batch norm over the samples of all ranks, so that a run does not depend on their number."""
    precision: Precision = "auto"
    """Arithmetic of the network; auto takes bfloat16 on a GPU that has it, float32 elsewhere. float64 is for comparing
    runs without rounding noise."""
    compile: bool = False
    """Let torch.compile fuse the network's operations: minutes at the start, faster steps after."""
    deterministic: bool = False
    """Refuse operations whose result differs from run to run on a GPU; slower. On a processor there are none."""
    calibration_samples: int = 512
    """Training samples on which batch norm is measured anew before each validation; 0: the reference's way, the
    running averages of training."""
    weight_penalty: float = 1e-4
    """Times the mean square of each weight tensor, added to the loss."""
    connectivity_penalty: float = 1e-3
    """The same for the first connectivity layer, which has most of the weights."""
    balance: Literal["undersample", "weight", "none"] = "undersample"
    """For binary targets: draw as many of the majority class each epoch as there are of the minority, or weight the
    loss so that both classes count the same."""
    drop_last: bool = False
    """Drop the last incomplete batch as the reference does; otherwise batches share the samples evenly."""
    augment: Literal["precomputed", "on-device", "hybrid", "none"] = "precomputed"
    """Where training samples are augmented: read copies that exist; change volumes on the device, anew in every epoch;
    read copies and change their intensities once more on the device; or not at all. See docs/augmentation.md."""
    augmentation: AugmentSettings = field(default_factory=AugmentSettings)
    """How far samples are changed on the device; those of the study."""
    extent_mm: float = 192.0
    """Edge length of the cube that the volumes cover."""
    copies: int | None = None
    """Augmented copies to use beside the volume itself; None: all there are."""
    seed: int = 1337
    """Of initial weights, sample order, choice of copies and dropout."""
    stores: str = ""
    """Folder or ``s3://bucket/prefix`` with copies of the study's volumes.zarr and augmented.zarr, which are read
    instead of its own; empty: its own."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes a GPU if there is one."""
    prefetch_bytes: int = DEFAULT_PREFETCH_BYTES
    """Memory of each rank for batches that are read ahead."""
    checkpoint_minutes: float = 10.0
    """Between checkpoints within an epoch; there is one after every epoch too."""
    hang_seconds: float = 1800.0
    """Training on several ranks ends when none of them has begun a batch for so long; longer than any batch takes."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.inputs if name not in INPUTS]
        if unknown or not self.inputs or len(set(self.inputs)) != len(self.inputs):
            raise TrainError(
                f"Expected inputs among {', '.join(INPUTS)}, each once, got {' '.join(self.inputs) or 'none'}."
            )
        if self.metadata_blocks and METADATA not in self.inputs:
            raise TrainError("Blocks of metadata were given, but metadata is not among the inputs.")
        if METADATA in self.inputs and not self.metadata_blocks:
            raise TrainError("The input metadata needs at least one of the blocks; give --metadata-block.")
        for name in _POSITIVE:
            if not (getattr(self, name) is None or getattr(self, name) > 0):
                raise TrainError(f"{name} must be positive, got {getattr(self, name)}.")
        if not 0 <= self.warmup_epochs <= self.epochs:
            raise TrainError(f"warmup_epochs must be 0 to {self.epochs}, the epochs, got {self.warmup_epochs}.")
        if self.batch_size < MIN_BATCH_SIZE:
            raise TrainError(
                f"batch_size must be at least {MIN_BATCH_SIZE}: batch normalisation has no variance over the one "
                "sample that smaller batches may leave over."
            )
        if self.accumulate * MIN_PART > self.batch_size:
            raise TrainError(
                f"A batch of {self.batch_size} cannot be computed in {self.accumulate} parts: "
                f"each needs {MIN_PART} samples."
            )
        if self.copies is not None and self.copies < 0:
            raise TrainError(f"copies must not be negative, got {self.copies}.")
        if self.volume_inputs:
            self._check_channels()

    @property
    def volume_inputs(self) -> tuple[str, ...]:
        """The volumes among the inputs, in channel order."""
        return tuple(modality for modality in VOLUME_MODALITIES if modality in self.inputs)

    @property
    def on_device(self) -> bool:
        """Whether batches are changed on the device."""
        return self.augment in ("on-device", "hybrid") and bool(self.volume_inputs)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The inputs that are read from stores."""
        return (*self.volume_inputs, *([CONNECTIVITY] if CONNECTIVITY in self.inputs else []))

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of each stage of the imaging network."""
        return self.channels or _REFERENCE_CHANNELS.get(self.side, ())

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain values, for `parse_train_config`."""
        return asdict(self)

    def _check_channels(self) -> None:
        stages = self.stage_channels
        if not stages:
            raise TrainError(f"There is no default network for side {self.side}; give --channels.")
        if min(stages) < 1:
            raise TrainError(f"channels must be positive, got {' '.join(map(str, stages))}.")
        if not MIN_STAGES <= len(stages) <= MAX_STAGES or self.side % 2 ** len(stages):
            raise TrainError(
                f"Expected {MIN_STAGES} to {MAX_STAGES} stages that halve side {self.side} evenly, got {len(stages)}."
            )


def parse_train_config(settings: dict[str, Any]) -> TrainConfig:
    """Validate settings that were read from a run's config.json or given as options.

    Raises
    ------
    TrainError
        Names each setting and what came.
    """
    try:
        return TypeAdapter(TrainConfig).validate_python(settings)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}, got {f['input']!r}" for f in error.errors())
        raise TrainError(f"The settings of the run cannot be used: {faults}") from error
