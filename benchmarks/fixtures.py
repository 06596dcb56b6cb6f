"""What the benchmarks read: one synthetic cohort, in every form the contenders want it in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
from typer.testing import CliRunner

from catalog.cohorts import build_cohort
from catalog.database import open_catalog
from catalog.fields import load_dictionary
from cli import app
from mmbase.names import VOLUME_MODALITIES
from mmdata.store.array import open_array
from mmdata.store.schema import VOLUME_DIMENSIONS, StudyLayout
from mmdata.store.spec import ArraySpec, ensure_array

FINE_SIDE, SIDE = 128, 64


@dataclass(frozen=True, slots=True)
class Fixtures:
    """Samples that have all three modalities, in the study's store and as NIfTI files."""

    layout: StudyLayout
    rows: list[int]
    nifti_paths: list[dict[str, Path]]
    """Modality to a 128³ ``.nii.gz`` file of float32, for each row."""


def make_fixtures(folder: Path, participants: int) -> Fixtures:
    """Synthesise, ingest, and write the 128³ volumes as the reference keeps them."""
    study = folder / "study"
    _run("synth", "ukb", folder / "release", "--participants", participants, "--voxel-mm", 2)
    _run("--study", study, "init", "--source", folder / "release", "--set", f"volumes.sides=[{FINE_SIDE},{SIDE}]")
    _run("--study", study, "ingest", "ukb")
    layout = StudyLayout(study.resolve())
    with open_catalog(layout.catalog) as catalog:
        rows = build_cohort(catalog, load_dictionary(), ["age"], VOLUME_MODALITIES, []).frame["row"].to_list()
    return Fixtures(layout, rows, _write_niftis(layout, rows, folder / "nifti"))


def as_uint8(fixtures: Fixtures, folder: Path, sides: Sequence[int]) -> Fixtures:
    """Return the same samples in stores of uint8, as an ingest with that number type rounds them."""
    layout = StudyLayout(folder)
    for modality, side in product(VOLUME_MODALITIES, sides):
        source = open_array(fixtures.layout.volume_array(modality, side))
        path = layout.volume_array(modality, side)
        ensure_array(
            ArraySpec(
                path=path,
                shape=source.shape,
                row_axis=0,
                rows_per_shard=source.rows_per_shard,
                dtype="uint8",
                codec="lz4",
                dimensions=VOLUME_DIMENSIONS,
            )
        )
        target = open_array(path)
        for start in range(0, source.shape[0], source.rows_per_shard):
            target.write_shard(start, np.rint(source.read_shard(start) / 257).astype(np.uint8))
    return replace(fixtures, layout=layout)


def folder_bytes(paths: Sequence[Path]) -> int:
    """Return the bytes of files, and of all files below folders."""
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _write_niftis(layout: StudyLayout, rows: list[int], folder: Path) -> list[dict[str, Path]]:
    folder.mkdir()
    paths: list[dict[str, Path]] = [{} for _ in rows]
    for modality in VOLUME_MODALITIES:
        array = open_array(layout.volume_array(modality, FINE_SIDE))
        affine_44 = np.asarray(array.attributes["affine_ras"])
        for row, of_row in zip(rows, paths, strict=True):
            volume_XYZ = array.read_rows([(row,)])[0].astype(np.float32) / np.float32(65535)
            of_row[modality] = folder / f"{row}_{modality}.nii.gz"
            nib.save(nib.Nifti1Image(volume_XYZ, affine_44), of_row[modality])
    return paths


def _run(*words: object) -> None:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    if result.exit_code:
        raise RuntimeError(result.output)
