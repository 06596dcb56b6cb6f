"""Which voxels of a scan are brain: by the source's mask, by the zeros around it, or by an extractor of the user's.

Terms
-----
mask        a boolean image on the scan's own grid.
extractor   a command that reads a NIfTI file of a whole head and writes one of its brain, or a mask of it. Its output
            says which voxels are brain (those that are not 0) and nothing else: the intensities stay the scan's own.
            The command is split as a shell would and run without one, once for each scan, on files with neutral names.
deepbet     an extractor that is a package, not a command (`mmdata.volume.deepbet`). It knows T1 images alone.
"""

import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.errors import ScanRejected, StudyError
from mmdata.execution.isolation import ProcessCrashed, run_isolated, run_program
from mmdata.readers.native import NativeScan
from mmdata.volume.deepbet import DEEPBET, deepbet_version, find_brain, require_deepbet
from mmdata.volume.geometry import apply_affine
from mmdata.volume.nifti import MAX_VOLUME_BYTES, Volume, decode_volume, encode_volume
from mmdata.volume.settings import IngestSettings, VolumeSettings

SMALLEST_BRAIN_ML, LARGEST_BRAIN_ML = 300.0, 2500.0
"""From a newborn's brain to more than an adult's with the fluid around it; whole heads are larger."""
GRID_TOLERANCE_MM = 0.1
"""Two images whose corners lie closer are on the same grid: programs round affines differently."""
_MAX_REPORTED_CHARACTERS = 200


def extract_brain(
    scan: NativeScan, volumes: VolumeSettings, ingest: IngestSettings, scratch: Path
) -> tuple[Volume, str]:
    """Return a scan's brain, 0 outside, and where it came from.

    That is ``mask``, ``image``, ``extractor``, or deepbet with its version.

    An image is its own brain where it is neither all over non-zero nor larger than a brain.

    Parameters
    ----------
    scratch
        Folder for the extractor's files; it is made where there is none.

    Raises
    ------
    ScanRejected
        ``empty``, ``bad-mask``, ``not-skull-stripped``, ``extractor-failed`` or ``implausible-brain``.
    StudyError
        The extractor cannot be started.
    """
    if scan.brain_XYZ is not None:
        brain, source = _masked(scan.volume, _checked_mask(scan, volumes.max_nonzero_share)), "mask"
    elif not (fault := head_fault(scan.volume, volumes.max_nonzero_share)):
        brain, source = scan.volume, "image"
    elif ingest.brain_extractor == DEEPBET:
        brain_XYZ = _checked_output(find_brain(scan.volume), volumes.max_nonzero_share)
        brain, source = _masked(scan.volume, brain_XYZ), f"{DEEPBET} {deepbet_version()}"
    elif ingest.brain_extractor:
        brain, source = _extracted(scan.volume, volumes, ingest, scratch), "extractor"
    else:
        mask = f"a brain mask, {scan.expected_mask}" if scan.expected_mask else "a brain mask"
        raise ScanRejected("not-skull-stripped", f"{fault}; give {mask}, or --brain-extractor")
    num_ml = _brain_ml(brain)
    if num_ml == 0:
        raise ScanRejected("empty", "every voxel of the brain is zero")
    if not SMALLEST_BRAIN_ML <= num_ml <= LARGEST_BRAIN_ML:
        expected = f"expected a brain of {SMALLEST_BRAIN_ML:,.0f} to {LARGEST_BRAIN_ML:,.0f} ml"
        raise ScanRejected("implausible-brain", f"{expected}, got {num_ml:,.1f} ml")
    return brain, source


def require_extractor(command: str) -> None:
    """Make sure that an extractor can be started.

    Raises
    ------
    StudyError
        The command cannot be split into words, or its program is not there; or deepbet is not installed.
    """
    if command == DEEPBET:
        require_deepbet()
        return
    _arguments(command, Path("input.nii.gz"), Path("output.nii.gz"))


def on_same_grid(volume: Volume, other: Volume) -> bool:
    """Return whether two images have the same voxels at the same positions, to within `GRID_TOLERANCE_MM`."""
    if volume.data_XYZ.shape != other.data_XYZ.shape:
        return False
    corners_83 = np.array(list(np.ndindex(2, 2, 2))) * (np.array(volume.data_XYZ.shape) - 1.0)
    apart_mm = apply_affine(volume.affine_44, corners_83) - apply_affine(other.affine_44, corners_83)
    return bool(np.linalg.norm(apart_mm, axis=1).max() <= GRID_TOLERANCE_MM)


def head_fault(volume: Volume, max_share: float) -> str:
    """Say why an image is not of a brain alone; nothing where it may be."""
    share = np.count_nonzero(volume.data_XYZ) / volume.data_XYZ.size
    if share > max_share:
        expected = f"expected at most {max_share:.0%} non-zero voxels in a brain-extracted image, got {share:.0%}"
        border = _border_value(volume.data_XYZ)
        return f"{expected}, all of the border being {border:g}: a background must be 0" if border else expected
    if _brain_ml(volume) > LARGEST_BRAIN_ML:
        return f"expected at most {LARGEST_BRAIN_ML:,.0f} ml of non-zero voxels, got {_brain_ml(volume):,.0f} ml"
    return ""


def _masked(volume: Volume, brain_XYZ: NDArray[np.bool_]) -> Volume:
    return Volume(volume.data_XYZ * brain_XYZ, volume.affine_44)


def _checked_mask(scan: NativeScan, max_share: float) -> NDArray[np.bool_]:
    assert scan.brain_XYZ is not None
    if scan.brain_XYZ.shape != scan.volume.data_XYZ.shape:
        shapes = f"{scan.volume.data_XYZ.shape}, got {scan.brain_XYZ.shape}"
        raise ScanRejected("bad-mask", f"expected a mask of shape {shapes}")
    share = float(scan.brain_XYZ.mean())
    if not 0 < share <= max_share:
        raise ScanRejected("bad-mask", f"expected a mask of at most {max_share:.0%} of the voxels, got {share:.0%}")
    return scan.brain_XYZ


def _border_value(data_XYZ: NDArray[Any]) -> float | None:
    """Return the one value that all six faces of an image hold, if there is one."""
    value = data_XYZ[0, 0, 0]
    faces = (np.take(data_XYZ, index, axis) for axis in range(3) for index in (0, -1))
    return float(value) if all((face == value).all() for face in faces) else None


def _brain_ml(volume: Volume) -> float:
    return np.count_nonzero(volume.data_XYZ) * abs(float(np.linalg.det(volume.affine_44[:3, :3]))) / 1000


def _extracted(volume: Volume, volumes: VolumeSettings, ingest: IngestSettings, scratch: Path) -> Volume:
    """Run the extractor on an image; return the image where its output is not 0."""
    output = _run_extractor(volume, ingest, scratch)
    if not on_same_grid(volume, output):
        raise ScanRejected("extractor-failed", "expected the extractor's output on its input's grid, it has another")
    return _masked(volume, _checked_output(output.data_XYZ != 0, volumes.max_nonzero_share))


def _checked_output(brain_XYZ: NDArray[np.bool_], max_share: float) -> NDArray[np.bool_]:
    share = float(brain_XYZ.mean())
    if not 0 < share <= max_share:
        expected = f"expected an output that is 0 outside the brain, {share:.0%} of its voxels are not"
        raise ScanRejected("extractor-failed", expected)
    return brain_XYZ


def _run_extractor(volume: Volume, ingest: IngestSettings, scratch: Path) -> Volume:
    scratch.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        source, target, log = (Path(folder) / name for name in ("input.nii.gz", "output.nii.gz", "log.txt"))
        arguments = _arguments(ingest.brain_extractor, source, target)
        source.write_bytes(encode_volume(volume.data_XYZ, volume.affine_44, np.float32))
        exit_code = _run(arguments, log, ingest.extractor_timeout_s)
        if exit_code != 0:
            raise ScanRejected("extractor-failed", f"the extractor ended with exit code {exit_code}{_last_line(log)}")
        if not target.is_file():
            raise ScanRejected("extractor-failed", f"the extractor wrote no {{output}}{_last_line(log)}")
        if target.stat().st_size > MAX_VOLUME_BYTES:
            raise ScanRejected("extractor-failed", f"the extractor wrote more than {MAX_VOLUME_BYTES:,} bytes")
        try:
            return decode_volume(target.read_bytes())
        except ScanRejected as rejection:
            raise ScanRejected("extractor-failed", f"the extractor's output: {rejection}") from rejection


def _arguments(command: str, source: Path, target: Path) -> list[str]:
    """Return an extractor's command line, its program by its full path."""
    try:
        program, *words = shlex.split(command)
    except ValueError as error:
        raise StudyError(f"ingest.brain_extractor is no command line ({error}): {command!r}") from error
    found = shutil.which(program)
    if found is None:
        raise StudyError(
            f"ingest.brain_extractor: {program!r} is no program on this machine.", "Install it or correct it."
        )
    files = {"{input}": str(source), "{output}": str(target)}
    return [found, *(re.sub(r"\{(?:input|output)\}", lambda found: files[found[0]], word) for word in words)]


def _run(arguments: list[str], log: Path, timeout_s: float) -> int:
    """Run a command and return its exit code; all it has started ends when its time is up or this process dies."""
    try:
        return run_isolated(run_program, (arguments, log), timeout_s=timeout_s)
    except ProcessCrashed as crash:
        raise ScanRejected("extractor-failed", f"the extractor: {crash}") from crash
    except OSError as error:
        raise StudyError(f"ingest.brain_extractor: {arguments[0]} cannot be started: {error.strerror}.") from error


def _last_line(log: Path) -> str:
    """Return the last thing a program complained of, unless it holds a number that could be an identifier."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4 * _MAX_REPORTED_CHARACTERS))
        lines = file.read().decode(errors="replace").strip().splitlines()
    line = lines[-1].strip() if lines else ""
    if not line or len(line) > _MAX_REPORTED_CHARACTERS or not line.isprintable() or re.search(r"\d{6,}", line):
        return ""
    return f": {line}"
