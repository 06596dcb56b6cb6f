"""The settings of volumes and connectivity: what an ingest makes of a scan."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import ConfigDict

from mmbase.names import MODALITIES
from mmbase.settings import STRICT
from mmdata.store.spec import Codec, StoredDtype
from mmdata.volume.connectome import CONNECTOMES
from mmdata.volume.geometry import MNI152_BRAIN_CENTRE_MM, Grid


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeSettings:
    """How volumes are made and stored."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    modalities: tuple[str, ...] = ("t1", "flair", "dwi")
    """Which volumes to store."""
    dwi_map: Literal["FA", "MD", "MO", "L1", "L2", "L3", "ICVF", "OD", "ISOVF"] = "FA"
    """The scalar diffusion map that stands for dwi."""
    space: Literal["MNI152-linear", "MNI152-nonlinear"] = "MNI152-linear"
    """Native images brought to MNI152 by an affine transform, or the images that were warped there already."""
    extent_mm: float = 192.0
    """Edge length of the cube that is sampled; 192 mm leaves room around the MNI152 brain (144 x 181 x 151 mm)."""
    centre_mm: tuple[float, float, float] = MNI152_BRAIN_CENTRE_MM
    """Centre of the cube in MNI152 space, RAS+."""
    sides: tuple[int, ...] = (128, 64)
    """Resolution levels in voxels per edge. The largest is sampled, each next is a block mean of the one before."""
    clamp_percentiles: tuple[float, float] = (0.5, 99.5)
    """Intensities outside these percentiles are clamped."""
    clamp_region: Literal["brain", "volume"] = "brain"
    """Where the percentiles are taken: the non-zero voxels, or the whole image as the reference does."""
    max_nonzero_share: float = 0.75
    """An image with a larger share of non-zero voxels is not skull-stripped and is rejected."""
    dtype: StoredDtype = "uint16"
    """Number type on disk; uint8 halves the bytes."""
    codec: Codec = "lz4"
    """Compression: lz4 is decoded sooner, zstd takes less of the disk, none is for disks as fast as memory."""
    rows_per_shard: int = 32
    """Samples that share one file."""

    def __post_init__(self) -> None:
        volumes = [name for name, modality in MODALITIES.items() if modality.kind == "volume"]
        if not self.modalities or not set(self.modalities).issubset(volumes):
            raise ValueError(f"modalities must name at least one of {', '.join(volumes)}, got {self.modalities}")
        sides = sorted(self.sides, reverse=True)
        if list(self.sides) != sides or not sides or sides[-1] < 8:
            raise ValueError(f"sides must fall from the largest and be at least 8, got {self.sides}")
        if any(fine % coarse or fine == coarse for fine, coarse in pairwise(sides)):
            raise ValueError(f"each of the sides must divide the one before, got {self.sides}")
        low, high = self.clamp_percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"clamp_percentiles must rise within 0 to 100, got {self.clamp_percentiles}")
        if not all(map(math.isfinite, (self.extent_mm, *self.centre_mm))):
            raise ValueError(f"extent_mm and centre_mm must be finite, got {self.extent_mm} and {self.centre_mm}")
        if self.extent_mm <= 0 or self.rows_per_shard < 1 or not 0 < self.max_nonzero_share <= 1:
            raise ValueError("extent_mm, rows_per_shard and max_nonzero_share must be positive")

    def map_of(self, modality: str) -> str:
        """Return the map that stands for a modality; empty where it has one image alone."""
        return self.dwi_map if modality == "dwi" else ""

    def grid(self, side: int) -> Grid:
        """Return the sampling grid of one resolution level."""
        return Grid(side=side, spacing_mm=self.extent_mm / side, centre_mm=self.centre_mm)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectivitySettings:
    """How connectivity is made and stored."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    enabled: bool = True
    """Whether to store connectivity."""
    name: str = "glasser360"
    """Which: glasser360 (field 31016), schaefer7n100 to schaefer17n1000 (31018), tian16, tian32, tian50 or tian54
    (31019), aparc68 (31015), or UK Biobank's own edges full25, full100, partial25, partial100 (25750 to 25753)."""
    fisher_z: bool = False
    """Store Fisher's z of the correlations instead of the correlations themselves; UK Biobank's own edges are z."""

    def __post_init__(self) -> None:
        if self.name not in CONNECTOMES:
            raise ValueError(f"name must be one of {', '.join(CONNECTOMES)}, got {self.name}")


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestSettings:
    """What is done for scans that come without a brain mask or a transform; may be changed between ingests."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    brain_extractor: str = ""
    """deepbet, which pip install 'megamodeller[brain]' installs, or a command that skull-strips, with {input} and
    {output} where the NIfTI files go; empty: such scans are rejected. A command is run without a shell, so give whole
    paths. It writes the brain, or a mask of it, on the input's grid."""
    extractor_timeout_s: float = 3600.0
    """Seconds after which a command that skull-strips is stopped and the scan rejected."""
    register: Literal["never", "affine"] = "never"
    """Register scans without a transform to the MNI152 template, or reject them."""
    min_registration_nmi: float = 1.06
    """A registration whose normalised mutual information with the template is smaller is rejected. On synthetic brains
    right ones had 1.10 and more, wrong ones 1.05 and less."""
    assume: Literal["none", "reference-grid"] = "none"
    """What to take for granted of images in the reference study's layout whose affine is the identity: nothing, then
    they are rejected; or that they lie on the reference study's own grid. mm ingest folder --assume sets it."""
    min_template_overlap: float = 0.6
    """A brain whose Dice overlap with the template's is smaller is rejected: its transform is wrong."""

    def __post_init__(self) -> None:
        is_command = self.brain_extractor not in ("", "deepbet")
        if is_command and not all(word in self.brain_extractor for word in ("{input}", "{output}")):
            raise ValueError(
                f"brain_extractor must hold {{input}} and {{output}}, or be deepbet, got {self.brain_extractor}"
            )
        if not 0 <= self.min_template_overlap <= 1 or self.extractor_timeout_s <= 0:
            raise ValueError("min_template_overlap must lie within 0 to 1 and extractor_timeout_s be positive")
