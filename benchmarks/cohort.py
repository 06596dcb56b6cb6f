"""Brains for measurements of training: stores of any size, made at once, without sources or catalogue.

The volumes are ellipsoids with smooth contrast and noise. They compress about as real ones do; what they show is of no
meaning, for speed does not depend on it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmbase.names import VOLUME_MODALITIES
from mmdata.store.array import open_array
from mmdata.store.schema import AUGMENTED_DIMENSIONS, VOLUME_DIMENSIONS, StudyLayout
from mmdata.store.spec import ArraySpec, ensure_array
from mmtrain.config.run import RunConfig, parse_run_config
from mmtrain.data.cohort import read_cohort
from mmtrain.run import RunDirectory, create_run
from mmtrain.task import Task, prepare_task

ROWS_PER_SHARD = 32
_NUM_DIFFERENT = 8
"""Volumes that come again and again: chunks are compressed one by one, so it makes no difference."""
_SEMI_AXES_MM = (72.0, 90.0, 75.0)
_EXTENT_MM = 192.0


@dataclass(frozen=True, slots=True)
class MadeCohort:
    """Samples with all three volumes at one side."""

    layout: StudyLayout
    side: int
    num_rows: int
    held_out: int
    """Validation samples, and as many test samples; the others train."""

    @classmethod
    def at(cls, folder: Path, side: int, num_rows: int) -> "MadeCohort":
        """Return what `make_cohort` has made in a folder."""
        return cls(StudyLayout(folder), side, num_rows, max(2, num_rows // 16))

    def begin_run(self, **settings: Any) -> RunDirectory:
        """Make the directory of a run that predicts a number from the volumes."""
        run = create_run(self.layout.runs, self._configure(settings))
        num_training = self.num_rows - 2 * self.held_out
        pl.DataFrame(
            {
                "sample_id": [f"{row:016x}" for row in range(self.num_rows)],
                "row": range(self.num_rows),
                "split": ["train"] * num_training + ["val"] * self.held_out + ["test"] * self.held_out,
                "target": np.random.default_rng(2).uniform(45.0, 80.0, self.num_rows),
                "augmented": [row < num_training for row in range(self.num_rows)],
            }
        ).write_parquet(run.cohort)
        return run

    def prepare(self, **settings: Any) -> Task:
        """Return what a run needs to compute."""
        run = self.begin_run(**settings)
        return prepare_task(read_cohort(run.cohort), self.layout, self._configure(settings))

    def _configure(self, settings: Mapping[str, Any]) -> RunConfig:
        given = {"target": "age", "kind": "regression", "unit": "years", "inputs": VOLUME_MODALITIES, "side": self.side}
        return parse_run_config({**given, **settings})


def make_cohort(folder: Path, side: int, num_rows: int, *, copies: int = 0) -> MadeCohort:
    """Write stores of all three modalities, and copies of every row."""
    layout = StudyLayout(folder)
    for number, modality in enumerate(VOLUME_MODALITIES):
        volumes = make_volumes(side, seed=number)
        _store(layout.volume_array(modality, side), volumes, num_rows, None)
        if copies:
            _store(layout.augmented_array(modality, side), volumes, num_rows, copies)
    return MadeCohort.at(folder, side, num_rows)


def seconds_of_training(run: RunDirectory) -> float:
    """Return the seconds that a run's epochs took for their steps."""
    return float(sum(json.loads(line)["train_seconds"] for line in run.epochs.read_text().splitlines()))


def make_volumes(side: int, *, seed: int) -> NDArray[np.uint16]:
    """Return a few volumes, shape (n, side, side, side)."""
    rng = np.random.default_rng(seed)
    axis_mm = (np.arange(side) + 0.5) * _EXTENT_MM / side - _EXTENT_MM / 2
    points_mm = np.stack(np.meshgrid(axis_mm, axis_mm, axis_mm, indexing="ij"))
    inside = sum((axis / radius) ** 2 for axis, radius in zip(points_mm, _SEMI_AXES_MM, strict=True)) < 1
    volumes = np.zeros((_NUM_DIFFERENT, side, side, side), np.uint16)
    for volume in volumes:
        wave = np.cos(np.tensordot(rng.uniform(-0.08, 0.08, 3), points_mm, 1) + rng.uniform(0, 6))
        contrast = 0.55 + 0.25 * wave + rng.normal(0, 0.02, wave.shape)
        volume[inside] = (np.clip(contrast, 0, 1) * 65535)[inside]
    return volumes


def write_niftis(folder: Path, side: int) -> list[list[Path]]:
    """Write a few samples as the reference keeps them: a float32 ``.nii.gz`` for each modality."""
    import nibabel as nib  # noqa: PLC0415 - a machine lent for its GPU may lack it

    folder.mkdir()
    paths: list[list[Path]] = [[] for _ in range(_NUM_DIFFERENT)]
    for number, modality in enumerate(VOLUME_MODALITIES):
        for index, volume_XYZ in enumerate(make_volumes(side, seed=number)):
            path = folder / f"{index}_{modality}.nii.gz"
            nib.save(nib.Nifti1Image(volume_XYZ.astype(np.float32) / np.float32(65535), np.eye(4)), path)
            paths[index].append(path)
    return paths


def _store(path: Path, volumes: NDArray[np.uint16], num_rows: int, copies: int | None) -> None:
    behind = [] if copies is None else [copies]
    ensure_array(
        ArraySpec(
            path=path,
            shape=(*behind, num_rows, *volumes.shape[1:]),
            row_axis=len(behind),
            rows_per_shard=ROWS_PER_SHARD,
            dtype="uint16",
            codec="zstd",
            dimensions=VOLUME_DIMENSIONS if copies is None else AUGMENTED_DIMENSIONS,
        )
    )
    array = open_array(path)
    for copy in [None] if copies is None else range(copies):
        for start in range(0, num_rows, ROWS_PER_SHARD):
            rows = np.arange(start, min(start + ROWS_PER_SHARD, num_rows)) % len(volumes)
            array.write_shard(start, volumes[rows], copy=copy)
