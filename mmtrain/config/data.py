"""What a run predicts, and from what."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict

from mmbase.json_text import shortened
from mmbase.names import CONNECTIVITY, INPUTS, METADATA, VOLUME_MODALITIES
from mmbase.settings import DERIVED, STRICT, Option
from mmbase.suggestion import did_you_mean
from mmtrain.errors import TrainError

VolumeScaling = Literal["stored", "min-max"]
FeatureScaling = Literal["standardised", "raw"]
Regression = Literal["value", "bins"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetConfig:
    """One thing that is predicted."""

    name: str
    """Name in the field dictionary."""
    kind: str
    """regression or binned for continuous targets, classification for binary ones: a file of mmtrain/targets/kinds."""
    unit: str = ""
    """For axes and tables."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """What a run predicts, and from what."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    targets: Annotated[tuple[TargetConfig, ...], DERIVED]
    """What to predict, in the order of the network's outputs."""
    inputs: Annotated[tuple[str, ...], Option(separators=",+")]
    """Any of flair, t1, dwi, connectivity, metadata; left out: the study's volumes."""
    metadata_blocks: Annotated[tuple[str, ...], Option("--metadata-block", repeatable=True)] = ()
    """Group of tabular features that the model sees: constitutional, disease, serology, psychology, or your own."""
    keep_own_block: Annotated[bool, Option(negatable=True)] = False
    """Let the model see the target's own group too, if it was asked for; the reference never does."""
    features: Annotated[tuple[str, ...], DERIVED] = ()
    """Every tabular feature beside the targets, in the order of the network's inputs."""
    shown_features: Annotated[tuple[str, ...], DERIVED] = ()
    """Those of `features` that the model sees; it gets zeros for the others."""
    split: Annotated[str, DERIVED] = "study"
    """Who trains, validates and tests: the study's own split, a fold such as fold-2/5, or all centres but one, such as
    without-centre-11025."""
    side: int = 64
    """Edge length of the volumes in voxels: a stored resolution level."""
    connectivity: Annotated[str, DERIVED] = "glasser360"
    """Name of the connectivity array."""
    balance: Literal["undersample", "weight", "none"] = "undersample"
    """Classes of a binary target: draw as many of the majority in each epoch as there are of the minority, or weight
    the loss so that both count the same. Runs with several targets weight instead of drawing."""
    regression: Regression | None = None
    """Continuous targets: one value, learnt by its squared error, or the probabilities of 40 bins, learnt from soft
    labels and read out as their expectation (bins); left out: bins for the network sfcn, value for all others."""
    volume_scaling: VolumeScaling = "stored"
    """Volumes as the network takes them, from -1 to 1: as they are stored, 1 being the scan's upper clamp, or each
    stretched from its own smallest to its own largest value as it is read (min-max), as the reference."""
    feature_scaling: FeatureScaling = "standardised"
    """Tabular features: z-scores, each with a column that says whether it was missing, or a column of plain values for
    each (raw), as the reference; the mean of the training samples stands for a missing value in both."""
    clamp_labels: Annotated[bool, Option(negatable=True)] = False
    """Judge predictions of a continuous target against labels that are clamped to its training percentiles, as the
    reference; otherwise against the labels as they are. What is learnt is the same."""
    data_size: Annotated[int | None, Option(is_setting=False, minimum=1)] = None
    """Train on so many samples of the training split only, for learning curves; validation and test stay as they are.
    The samples of a smaller number are among those of a larger one."""
    required_inputs: Annotated[tuple[str, ...], Option(is_setting=False, separators=",+")] = ()
    """Use samples alone that have these inputs stored too, though the model is not given them, so that models of
    different inputs have the same samples."""
    diagnostic: Annotated[bool, Option(is_setting=False)] = False
    """Check the wiring: give the network the label in place of every input, which it then has to find. No result."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.inputs if name not in INPUTS]
        if unknown or not self.inputs or len(set(self.inputs)) != len(self.inputs):
            hint = did_you_mean(unknown[0], INPUTS) if unknown else ""
            raise TrainError(
                f"Expected inputs among {', '.join(INPUTS)}, each once, got {' '.join(self.inputs) or 'none'}.{hint}"
            )
        if self.metadata_blocks and METADATA not in self.inputs:
            raise TrainError("Blocks of metadata were given, but metadata is not among the inputs.")
        if METADATA in self.inputs and not self.metadata_blocks:
            raise TrainError("The input metadata needs at least one of the blocks; give --metadata-block.")
        if unknown := [name for name in self.required_inputs if name not in INPUTS or name == METADATA]:
            stored = ", ".join(name for name in INPUTS if name != METADATA)
            raise TrainError(f"Expected required_inputs among {stored}, got {shortened(unknown[0])}.")
        if self.data_size is not None and self.data_size < 1:
            raise TrainError(f"data_size must be positive, got {self.data_size}.")
        if self.side < 1:
            raise TrainError(f"side must be positive, got {self.side}.")
        names = [target.name for target in self.targets]
        if not all(names):
            raise TrainError("A target has no name.", "Give --target NAME, or several names with a comma between them.")
        if not names or len(set(names)) != len(names):
            raise TrainError(f"Expected one target or several different ones, got {', '.join(names) or 'none'}.")

    @property
    def target(self) -> str:
        """Return the names of the targets as one word, joined by commas."""
        return ",".join(target.name for target in self.targets)

    @property
    def volume_inputs(self) -> tuple[str, ...]:
        """Return the volumes among the inputs, in channel order."""
        return tuple(modality for modality in VOLUME_MODALITIES if modality in self.inputs)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Return the inputs that are read from stores."""
        return (*self.volume_inputs, *([CONNECTIVITY] if CONNECTIVITY in self.inputs else []))

    @property
    def cohort_modalities(self) -> tuple[str, ...]:
        """Return what every sample of the run has stored: the inputs that are read, and those that are required."""
        return tuple(name for name in INPUTS if name in {*self.modalities, *self.required_inputs})
