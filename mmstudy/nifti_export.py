"""Stored volumes of one sample as NIfTI files in a BIDS derivative data set, for whatever reads those.

Voxels are the stored numbers as they are, on the study's grid. The header's slope makes fractions of the scan's upper
clamp of them, and the JSON file beside each has that clamp: fraction times clamp is the intensity that was read.

Source: the Brain Imaging Data Structure specification, 1.10, Derivatives.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmbase.files import PRIVATE_FOLDER_MODE, make_directory, to_json, write_bytes
from mmbase.json_text import DamagedTextError, parse_json
from mmbase.version import VERSION
from mmdata.errors import StudyError
from mmdata.sources.volume_files import VOLUME_FILES
from mmdata.store.array import open_array
from mmdata.store.schema import StudyLayout
from mmdata.study import Study
from mmdata.study_arrays import require_sides
from mmdata.volume.nifti import encode_stored
from mmstudy.outputs import record_output
from mmstudy.presence import require_present
from mmstudy.sample_scans import read_volume_scans, volumes_of

DESCRIPTION = "dataset_description.json"
_PROGRAM, _COMMAND = "mm", "mm export-nifti"
_TENSOR_MAPS = frozenset({"FA", "MD", "MO", "L1", "L2", "L3"})
"""Of a diffusion tensor; the others are NODDI's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NiftiExport:
    """What was written."""

    folder: Path
    files: tuple[str, ...]
    """The images, by their path in the folder."""


@dataclass(frozen=True, slots=True)
class _Maker:
    """A program that made a data set, of whichever version."""

    Name: str
    Description: str = ""


@dataclass(frozen=True, slots=True)
class _DataSet:
    """What is read of a data set's description."""

    GeneratedBy: list[_Maker]


def export_nifti(
    study: Study,
    sample_id: str,
    folder: Path,
    *,
    modalities: Sequence[str] = (),
    side: int | None = None,
    overwrite: bool = False,
) -> NiftiExport:
    """Write stored volumes of one sample; all of them or none.

    The folder is put on record before, so that a withdrawal names it.

    Parameters
    ----------
    folder
        Outside the study; made where it is not there. It may hold other samples that mm has exported.
    modalities
        Empty: whichever are stored.
    side
        Resolution level; left out: the finest.

    Raises
    ------
    CatalogError, DataError
        There is no such volume, the folder lies in the study or holds something else, a file is there already, or the
        participant has withdrawn meanwhile.
    """
    side = study.config.volumes.sides[0] if side is None else side
    require_sides(study.config, [side])
    _require_folder(study.layout, folder)
    scans = volumes_of(read_volume_scans(study), sample_id, modalities)
    files: dict[str, bytes] = {}
    for modality, row, clamp in scans.select("modality", "row", "clamp_high").iter_rows():
        stem = f"sub-{sample_id}/{_stem(study, sample_id, modality, side)}"
        files |= {f"{stem}{ending}": content for ending, content in _encode(study, modality, side, row, clamp)}
    if not overwrite and (present := [name for name in files if (folder / name).exists()]):
        raise StudyError(f"{folder / present[0]} exists.", "Give another folder, or --overwrite.")
    record_output(study.layout, folder)
    _write(study.layout, folder, {DESCRIPTION: to_json(_description()), **files}, scans["row"].to_list())
    return NiftiExport(folder=folder, files=tuple(name for name in files if name.endswith(".nii.gz")))


def _require_folder(layout: StudyLayout, folder: Path) -> None:
    """Refuse a folder that a withdrawal could not name, or whose data set is of another program."""
    if folder.resolve().is_relative_to(layout.root):
        raise StudyError("--output: the folder lies in the study, which holds its volumes already.", "Give another.")
    if folder.exists() and not folder.is_dir():
        raise StudyError("--output: expected a folder, and there is a file of this name.", "Give another name.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not _is_of_mm(folder / DESCRIPTION):
        raise StudyError(
            f"--output: the folder holds something that mm has not exported: its {DESCRIPTION} is another.",
            "Give a new folder.",
        )


def _is_of_mm(description: Path) -> bool:
    """Return whether a data set was made by this command alone, of whichever version."""
    try:
        found = parse_json(description.read_bytes(), _DataSet)
    except (OSError, DamagedTextError):
        return False
    return found.GeneratedBy == [_Maker(_PROGRAM, _COMMAND)]


def _stem(study: Study, sample_id: str, modality: str, side: int) -> str:
    """Return folder and name of an image, without its ending."""
    bids, chosen = VOLUME_FILES[modality].bids, study.config.volumes.map_of(modality)
    map_of = f"model-{'tensor' if chosen in _TENSOR_MAPS else 'noddi'}_param-{chosen}_" if chosen else ""
    suffix = "dwimap" if chosen else bids.suffix
    return f"{bids.datatype}/sub-{sample_id}_space-MNI152NLin6Asym_res-{side}_{map_of}desc-brain_{suffix}"


def _encode(study: Study, modality: str, side: int, row: int, clamp: float | None) -> Iterator[tuple[str, bytes]]:
    array = open_array(study.layout.volume_array(modality, side))
    attributes, intensity = array.attributes, array.attributes["intensity"]
    (stored_XYZ,) = array.read_rows([(row,)])
    affine_44 = np.asarray(attributes["affine_ras"])
    yield ".nii.gz", encode_stored(stored_XYZ, affine_44, scale=intensity["scale"], offset=intensity["offset"])
    sidecar = {
        "Description": f"Volume on the grid of {attributes['space']}, brain alone, clamped and scaled by mm",
        "SkullStripped": True,
        "Resolution": f"{study.config.volumes.extent_mm / side:.6g} mm isotropic",
        "Values": "stored number times slope: fraction of UpperClamp; background is 0",
        "UpperClamp": clamp,
        "Preprocessing": attributes["preprocessing"],
    }
    yield ".json", to_json(sidecar)


def _description() -> dict[str, Any]:
    return {
        "Name": "Volumes as mm stores them",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": _PROGRAM, "Version": VERSION, "Description": _COMMAND}],
    }


def _write(layout: StudyLayout, folder: Path, files: dict[str, bytes], rows: Sequence[int]) -> None:
    """Write files in their order; none of them stays if the disk is full or the participant has withdrawn meanwhile."""
    require_present(layout, rows)
    try:
        for name, content in files.items():
            make_directory((folder / name).parent, mode=PRIVATE_FOLDER_MODE)
            write_bytes(folder / name, content)
        require_present(layout, rows)
    except BaseException:
        for name in files:
            if name != DESCRIPTION:  # which other samples' files may need
                (folder / name).unlink(missing_ok=True)
        raise
