"""One 1 mm T1 from its archive to 128³ and 64³ in template space: this project's ingest against its peers and a limit.

Everyone has one process and one thread and reads the same voxels with the same affine. What each does and does not do
is in `WHAT_EACH_DOES`; the peers find their ``.nii.gz`` files outside the archive, which is not counted against us.
"""

import dataclasses
import io
import os
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
import torchio as tio
from isal.igzip import IGzipFile
from monai.transforms import EnsureChannelFirst, LoadImage, Resize, ScaleIntensityRangePercentiles, SpatialResample
from numpy.typing import NDArray

from mmbase.records import EnrolledSample, ScanCandidate, Visit
from mmdata.errors import ScanRejected
from mmdata.ingest import execute_ingest, plan_ingest
from mmdata.ledger.receipts import read_scan_receipts
from mmdata.readers.ukb import read_native
from mmdata.store.array import open_array
from mmdata.study import Study, StudyConfig, create_study
from mmdata.synth.release import SynthConfig, write_release
from mmdata.volume.flirt import ImageFrame, flirt_from_world
from mmdata.volume.geometry import Matrix44
from mmdata.volume.nifti import encode_volume
from mmdata.volume.resample import limit_threads
from mmdata.volume.settings import ConnectivitySettings, VolumeSettings

NUM_ARCHIVES = 8
FIELD_OF_VIEW = (208, 256, 256)
"""Of UK Biobank's T1 before it is cropped. The synthetic ones are cropped closer, so zeros are put around them."""
FINE_SIDE, SIDE = 128, 64
REPEATS = 3
SMALLEST_AGREEMENT = 0.98
SCALED_SCANS, SCALED_ROWS_PER_SHARD, SCALED_REPEATS = 128, 8, 3
"""For one worker against two: 16 shards, enough for a steady state."""
WHAT_EACH_DOES = {
    "ingest": "finds the member in the zip archive, gunzips, checks the CRC, percentiles inside the brain, box mean "
    "against aliasing, one linear resampling, block mean to 64³, quality measures, uint16, checksums, the Zarr shard "
    "(zstd, CRC32C, fsync), receipts",
    "monai": "LoadImage, percentiles of the whole volume, SpatialResample as it comes (linear, float64) to 1 mm in the "
    "cube, Resize(area) to 128³ and to 64³; nothing checked or written",
    "monai_aliased": "the same with SpatialResample in float32 straight to 128³: no anti-aliasing",
    "torchio": "ScalarImage, ToCanonical, RescaleIntensity by percentiles inside the brain, Resample (linear, with its "
    "Gaussian against aliasing) to 128³ and to 64³; nothing checked or written",
    "torchio_aliased": "the same without the Gaussian",
    "limit": "gunzip with isal and one linear SimpleITK resampling to 128³; no percentiles, no anti-aliasing, no 64³, "
    "nothing checked or written",
}
_PIECE_BYTES = 1 << 20
"""The fastest way to gunzip that we know: in pieces, into memory that numpy gets in large pages."""
_IMAGE, _MATRIX = "T1/T1_unbiased_brain.nii.gz", "T1/transforms/T1_to_MNI_linear.mat"

Levels: TypeAlias = dict[int, NDArray[Any]]
Contender: TypeAlias = Callable[["IngestFixtures", int], Levels]


@dataclass(frozen=True, slots=True)
class IngestFixtures:
    """The same scans in every form the contenders want them in."""

    archives: list[Path]
    """UK Biobank archives."""
    niftis: list[Path]
    """The image of each archive as a ``.nii.gz`` file, half of them int16, half float32."""
    native_affines_44: list[Matrix44]
    mni_from_native_44: list[Matrix44]
    volumes: VolumeSettings


@dataclass(frozen=True, slots=True)
class Scaling:
    """Scans ingested in a second by some workers, over repeats."""

    steady: list[float]
    """Between the completion of the first shards and of the last but one: no start-up, every worker busy."""
    whole: list[float]
    """From the call to its return, the start of the processes and their imports included."""


def make_ingest_fixtures(folder: Path) -> IngestFixtures:
    """Synthesise T1 archives at 1 mm, half of them int16 and half float32, and unpack their images."""
    for name in ("archives", "niftis"):
        (folder / name).mkdir(parents=True)
    config = SynthConfig(participants=2 * NUM_ARCHIVES, voxel_mm=1.0)
    write_release(folder / "release", config, workers=os.cpu_count() or 1, on_progress=lambda *_: None)
    by_dtype: dict[str, list[Path]] = {"int16": [], "float32": []}
    for cropped in sorted(folder.glob("release/**/*_20252_2_0.zip")):
        with suppress(ScanRejected):  # what is wrong with a release on purpose
            dtype, archive = _write_in_full_field(cropped, folder / "archives")
            by_dtype[dtype].append(archive)
    archives = [archive for of_dtype in by_dtype.values() for archive in of_dtype[: NUM_ARCHIVES // 2]]
    if len(archives) != NUM_ARCHIVES:
        raise RuntimeError(f"expected {NUM_ARCHIVES} archives of either number type, got {len(archives)}")
    natives = [read_native(_candidate(archive, index), VolumeSettings()) for index, archive in enumerate(archives)]
    return IngestFixtures(
        archives=archives,
        niftis=[_unpack(archive, folder / "niftis" / f"{index}.nii.gz") for index, archive in enumerate(archives)],
        native_affines_44=[native.volume.affine_44 for native in natives],
        mni_from_native_44=[native.mni_from_native_44 for native in natives if native.mni_from_native_44 is not None],
        volumes=VolumeSettings(modalities=("t1",), sides=(FINE_SIDE, SIDE), rows_per_shard=NUM_ARCHIVES),
    )


def measure_ingest(fixtures: IngestFixtures, folder: Path) -> dict[str, list[float]]:
    """Time every contender, turn and turn about, in this process; return milliseconds for each scan over repeats."""
    limit_threads(1)
    peers: dict[str, Contender] = {
        "monai": _monai,
        "monai_aliased": _monai_aliased,
        "torchio": partial(_torchio, antialias=True),
        "torchio_aliased": partial(_torchio, antialias=False),
        "limit": _limit,
    }
    times: dict[str, list[float]] = {name: [] for name in ("ingest", *peers)}
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for repeat in range(-1, REPEATS):
        study, candidates = _make_study(folder / f"repeat{repeat}", fixtures, NUM_ARCHIVES)
        started = time.perf_counter()
        _ingest(study, candidates, workers=0)
        elapsed_ms = {"ingest": (time.perf_counter() - started) * 1000}
        for name, contender in peers.items():
            elapsed_ms[name] = _run_peer(name, contender, fixtures, study)
        if repeat >= 0:
            for name, total_ms in elapsed_ms.items():
                times[name].append(total_ms / NUM_ARCHIVES)
    torch.set_num_threads(num_threads)
    return times


def measure_scaling(fixtures: IngestFixtures, folder: Path, workers: Sequence[int] = (1, 2)) -> dict[int, Scaling]:
    """Time the ingest of the same scans by different numbers of worker processes, turn and turn about."""
    volumes = dataclasses.replace(fixtures.volumes, rows_per_shard=SCALED_ROWS_PER_SHARD)
    fixtures = dataclasses.replace(fixtures, volumes=volumes)
    scaling = {number: Scaling([], []) for number in workers}
    for repeat in range(SCALED_REPEATS):
        for number in workers:
            study, candidates = _make_study(folder / f"scaling{repeat}-{number}", fixtures, SCALED_SCANS)
            started = time.perf_counter()
            finished = _ingest(study, candidates, workers=number)
            scaling[number].whole.append(SCALED_SCANS / (time.perf_counter() - started))
            first, last = max(workers), len(finished) - max(workers)
            steady_seconds = finished[last] - finished[first]
            scaling[number].steady.append((last - first) * SCALED_ROWS_PER_SHARD / steady_seconds)
    return scaling


def ingest_ratios(times: Mapping[str, Sequence[float]], scaling: Mapping[int, Scaling]) -> dict[str, float]:
    """Return the claims: how many times as fast as each peer, how near to the limit, how much two workers bring."""
    ingest_ms = median(times["ingest"])
    return {
        **{f"ingest_vs_{name}": round(median(ms) / ingest_ms, 3) for name, ms in times.items() if name != "ingest"},
        "ingest_two_workers": round(median(scaling[2].steady) / median(scaling[1].steady), 3),
        "ingest_two_workers_with_start": round(median(scaling[2].whole) / median(scaling[1].whole), 3),
    }


def _write_in_full_field(cropped: Path, folder: Path) -> tuple[str, Path]:
    """Write an archive anew with zeros around its image; return the image's number type and the new archive."""
    native = read_native(_candidate(cropped, 0), VolumeSettings())
    volume, mni_from_native_44 = native.volume, native.mni_from_native_44
    assert mni_from_native_44 is not None
    missing = [full - size for full, size in zip(FIELD_OF_VIEW, volume.data_XYZ.shape, strict=True)]
    around = [(voxels // 2, voxels - voxels // 2) for voxels in missing]
    affine_44 = volume.affine_44.copy()
    affine_44[:3, 3] -= affine_44[:3, :3] @ [before for before, _ in around]
    affine_44 = affine_44.astype(np.float32).astype(np.float64)  # what a NIfTI header keeps of it
    matrix = flirt_from_world(mni_from_native_44, ImageFrame(affine_44=affine_44, num_x=FIELD_OF_VIEW[0]))
    archive = folder / cropped.name
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr(_IMAGE, encode_volume(np.pad(volume.data_XYZ, around), affine_44, volume.data_XYZ.dtype))
        members.writestr(_MATRIX, "\n".join(" ".join(map(repr, row)) for row in matrix.tolist()))
    return str(volume.data_XYZ.dtype), archive


def _unpack(archive: Path, path: Path) -> Path:
    with zipfile.ZipFile(archive) as members:
        path.write_bytes(members.read(_IMAGE))
    return path


def _candidate(archive: Path, index: int) -> ScanCandidate:
    return ScanCandidate(visit=Visit(eid=1_000_000 + index, instance=2), modality="t1", path=archive)


def _make_study(root: Path, fixtures: IngestFixtures, num_scans: int) -> tuple[Study, list[ScanCandidate]]:
    """Make an empty study, and candidates that go round the archives as often as needed."""
    config = StudyConfig(volumes=fixtures.volumes, connectivity=ConnectivitySettings(enabled=False))
    archives = fixtures.archives
    return create_study(root, config), [_candidate(archives[i % len(archives)], i) for i in range(num_scans)]


def _ingest(study: Study, candidates: Sequence[ScanCandidate], *, workers: int) -> list[float]:
    """Plan and execute; return when each shard was done."""
    samples = {
        candidate.visit: EnrolledSample(sample_id=f"sample{row}", row=row, split="train")
        for row, candidate in enumerate(candidates)
    }
    finished: list[float] = []
    plan = plan_ingest(study, candidates, samples, num_rows=len(candidates), workers=workers)
    execute_ingest(study, plan, workers=workers, on_progress=lambda *_: finished.append(time.perf_counter()))
    stored = [receipt.status == "stored" for receipt in read_scan_receipts(study.layout.receipts).values()]
    if stored != [True] * len(candidates):
        raise RuntimeError(f"{sum(stored)} of {len(candidates)} scans were stored")
    return finished[1:]


def _run_peer(name: str, contender: Contender, fixtures: IngestFixtures, study: Study) -> float:
    """Return the milliseconds a contender takes for all scans; check that it made the volumes that the study holds."""
    elapsed_ms = 0.0
    for index in range(NUM_ARCHIVES):
        started = time.perf_counter()
        levels = contender(fixtures, index)
        elapsed_ms += (time.perf_counter() - started) * 1000
        for side, level in levels.items():
            ours = open_array(study.layout.volume_array("t1", side)).read_rows([(index,)])[0]
            agreement = np.corrcoef(ours.ravel(), level.ravel())[0, 1]
            if not agreement > SMALLEST_AGREEMENT:
                raise RuntimeError(f"{name} made another volume of side {side}: correlation {agreement:.4f}")
    return elapsed_ms


def _monai(fixtures: IngestFixtures, index: int) -> Levels:
    side = round(fixtures.volumes.extent_mm)  # 1 mm, about the scan's own
    fine = Resize([FINE_SIDE] * 3, mode="area")(_monai_resampled(fixtures, index, side, SpatialResample()))
    coarse = Resize([SIDE] * 3, mode="area")(fine)
    return {FINE_SIDE: np.asarray(fine)[0], SIDE: np.asarray(coarse)[0]}


def _monai_aliased(fixtures: IngestFixtures, index: int) -> Levels:
    fine = _monai_resampled(fixtures, index, FINE_SIDE, SpatialResample(dtype=np.float32))
    coarse = Resize([SIDE] * 3, mode="area")(fine)
    return {FINE_SIDE: np.asarray(fine)[0], SIDE: np.asarray(coarse)[0]}


def _monai_resampled(fixtures: IngestFixtures, index: int, side: int, resample: SpatialResample) -> Any:
    low, high = fixtures.volumes.clamp_percentiles
    image = EnsureChannelFirst()(LoadImage(image_only=True)(fixtures.niftis[index]))
    clamped: Any = ScaleIntensityRangePercentiles(low, high, 0.0, 1.0, clip=True)(image)
    native_from_mni_44 = np.linalg.inv(fixtures.mni_from_native_44[index])
    native_from_grid_44 = torch.from_numpy(native_from_mni_44 @ fixtures.volumes.grid(side).affine_44)
    return resample(clamped, dst_affine=native_from_grid_44, spatial_size=[side] * 3, padding_mode="zeros")


def _torchio(fixtures: IngestFixtures, index: int, *, antialias: bool) -> Levels:
    image = tio.ScalarImage(fixtures.niftis[index], to_mni=fixtures.mni_from_native_44[index])
    clamp = tio.RescaleIntensity((0, 1), fixtures.volumes.clamp_percentiles, masking_method=lambda values: values > 0)
    to_fine, to_coarse = (
        tio.Resample(([side] * 3, fixtures.volumes.grid(side).affine_44), pre_affine_name=name, antialias=antialias)
        for side, name in ((FINE_SIDE, "to_mni"), (SIDE, None))
    )
    fine = to_fine(clamp(tio.ToCanonical()(image)))
    return {FINE_SIDE: fine.numpy()[0], SIDE: to_coarse(fine).numpy()[0]}


def _limit(fixtures: IngestFixtures, index: int) -> Levels:
    stream = IGzipFile(fileobj=io.BytesIO(fixtures.niftis[index].read_bytes()), mode="rb")
    header = nib.Nifti1Header(stream.read(348))
    stream.read(4)
    voxels = np.empty(header.get_data_shape(), header.get_data_dtype(), order="F")
    content = voxels.ravel(order="F").view(np.uint8).data
    for start in range(0, len(content), _PIECE_BYTES):
        stream.readinto(content[start : start + _PIECE_BYTES])
    image = sitk.GetImageFromArray(voxels.T)
    source_from_mni_44 = np.linalg.inv(fixtures.mni_from_native_44[index] @ fixtures.native_affines_44[index])
    source_from_grid_44 = source_from_mni_44 @ fixtures.volumes.grid(FINE_SIDE).affine_44
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(source_from_grid_44[:3, :3].ravel().tolist())
    transform.SetTranslation(source_from_grid_44[:3, 3].tolist())
    grid = ([FINE_SIDE] * 3, transform, sitk.sitkLinear, [0.0] * 3, [1.0] * 3, np.eye(3).ravel().tolist())
    return {FINE_SIDE: sitk.GetArrayFromImage(sitk.Resample(image, *grid, 0.0, sitk.sitkFloat32)).T}
