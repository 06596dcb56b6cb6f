"""A study of twelve small ellipsoids, whose every command takes less than a second."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from typer.testing import CliRunner, Result

from cli import app
from mmdata.volume.nifti import encode_volume

GRID_SIDE, SPACING_MM = 16, 12.0
SETTINGS = (
    "salt=salt-of-the-test-study",
    f"volumes.sides=[{GRID_SIDE}]",
    'volumes.modalities=["t1"]',
    "volumes.rows_per_shard=4",
    f"augment.sides=[{GRID_SIDE}]",
    "connectivity.enabled=false",
    "ingest.min_template_overlap=0.0",
    f"train.side={GRID_SIDE}",
    "train.epochs=2",
    "train.batch_size=4",
    "train.channels=[4,4]",
    "train.device=cpu",
)
SPLITS = ["TRAIN"] * 8 + ["VAL"] * 2 + ["TEST"] * 2
FIRST_EID = 1_000_001
Words = Sequence[object]


@dataclass(frozen=True)
class Sources:
    """What studies of these tests are made of."""

    release: Path
    small: Path
    """The same release before the last participants had come."""
    withdrawn: Path
    """List of two participants."""


def mm(root: Path, *words: object) -> Result:
    """Run a command on a study in this process."""
    return CliRunner().invoke(app, ["--study", str(root), *map(str, words)])


def write_sources(folder: Path) -> Sources:
    withdrawn = folder / "w12345_20260101.csv"
    withdrawn.write_text(f"{FIRST_EID + 1}\n{FIRST_EID + 9}\n")
    return Sources(write_release(folder / "release", 12), write_release(folder / "small", 10), withdrawn)


def write_release(root: Path, num: int) -> Path:
    """Write so many participants in the reference study's layout: ellipsoids as bright as people are old."""
    rng = np.random.default_rng(3)
    axes = np.meshgrid(*[np.linspace(-1, 1, GRID_SIDE)] * 3, indexing="ij")
    inside = sum(axis**2 for axis in axes) < 0.6
    affine_44 = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    affine_44[:3, 3] = np.array([0.0, -16.5, 6.5]) - SPACING_MM * (GRID_SIDE - 1) / 2
    lines = ["eid,age"]
    for index, split in enumerate(SPLITS[:num]):
        age = 45 + 3 * index
        brain_XYZ = inside * (age + 5 * rng.standard_normal(inside.shape))
        path = root / split / "T1" / f"{FIRST_EID + index}_t1.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_volume(brain_XYZ, affine_44, np.float32))
        lines.append(f"{FIRST_EID + index},{age}")
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    return root


def init(sources: Sources) -> Words:
    options = [word for setting in SETTINGS for word in ("--set", setting)]
    return ("init", "--source", f"folder:{sources.small}", *options)


def ingest_small(_: Sources) -> Words:
    return ("ingest", "folder", "--workers", 0)


def ingest(sources: Sources) -> Words:
    return ("ingest", "folder", sources.release, "--workers", 0)


def copies(_: Sources) -> Words:
    return ("precompute-augs", "--copies", 2, "--workers", 0)


def withdraw(sources: Sources) -> Words:
    return ("withdraw", sources.withdrawn)


def repair(_: Sources) -> Words:
    return ("repair", "--workers", 0)


def train(_: Sources) -> Words:
    return ("train", "--target", "age", "--inputs", "t1")
