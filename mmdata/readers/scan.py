"""One scan, from its source to the rows that are stored: read, skull-strip, register, preprocess."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmbase.names import CONNECTIVITY
from mmbase.records import ScanCandidate
from mmdata.errors import ScanRejected
from mmdata.readers.brain import extract_brain, head_fault, on_same_grid
from mmdata.readers.edges import read_edges
from mmdata.readers.image import read_image
from mmdata.readers.native import NativeFacts, NativeScan, facts_of
from mmdata.readers.ukb import read_connectome, read_native, read_warped
from mmdata.volume.connectivity import clean_edges, correlate_regions, parse_edges, parse_timeseries
from mmdata.volume.connectome import CONNECTOMES
from mmdata.volume.deepbet import DEEPBET
from mmdata.volume.mask import move_mask
from mmdata.volume.preprocess import preprocess_volume
from mmdata.volume.register import register_affine
from mmdata.volume.settings import ConnectivitySettings, IngestSettings, VolumeSettings

SIGNED_RANGES = {"MO": (-1.0, 1.0)}
"""Diffusion maps with negative values, and the range they span."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadSettings:
    """Everything that decides what becomes of a scan."""

    volumes: VolumeSettings
    connectivity: ConnectivitySettings
    ingest: IngestSettings
    scratch: Path
    """Folder of the study for temporary files, which hold whole heads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedScan:
    """What is stored of a scan."""

    rows: dict[str, NDArray[Any]]
    """Array name to the row that goes there."""
    measures: dict[str, float]
    provenance: dict[str, str]
    native: NativeFacts | None = None
    """Of a volume's image."""


def load_scan(scan: ScanCandidate, settings: LoadSettings) -> LoadedScan:
    """Read one scan and make the rows that are stored of it.

    Raises
    ------
    ScanRejected
        The scan cannot be used: with the reason, what was expected and what came.
    """
    if scan.modality == CONNECTIVITY:
        return _load_connectivity(scan, settings.connectivity)
    return _load_volume(scan, settings)


def _load_volume(scan: ScanCandidate, settings: LoadSettings) -> LoadedScan:
    native = _read_native(scan, settings)
    mask_source = ""
    if scan.modality != "t1" and _needs_mask_of_t1(native, settings):
        native, mask_source = _with_mask_of_t1(native, scan, settings)
    brain, brain_source = extract_brain(native, settings.volumes, settings.ingest, settings.scratch)
    measures = {}
    transform_source: str
    if native.mni_from_native_44 is not None:
        mni_from_native_44, transform_source = native.mni_from_native_44, native.transform_source
    elif settings.ingest.register == "affine":
        registration = register_affine(brain)
        _require_quality(registration.nmi, settings.ingest.min_registration_nmi)
        mni_from_native_44, transform_source = registration.mni_from_native_44, "registration"
        measures["registration_nmi"] = registration.nmi
    else:
        raise ScanRejected("missing-transform", "the source has no transform to MNI152; --register affine makes one")
    preprocessed = preprocess_volume(
        brain,
        mni_from_native_44,
        settings.volumes,
        min_template_overlap=settings.ingest.min_template_overlap,
        signed_range=SIGNED_RANGES.get(settings.volumes.map_of(scan.modality)),
    )
    return LoadedScan(
        rows={str(side): level for side, level in preprocessed.levels.items()},
        measures=measures | preprocessed.measures,
        provenance={"brain": mask_source or brain_source, "transform": transform_source},
        native=facts_of(brain, mni_from_native_44, transform_source),
    )


def _require_quality(nmi: float, lowest: float) -> None:
    if nmi < lowest:
        raise ScanRejected(
            "registration-failed",
            f"expected a normalised mutual information with the template of at least {lowest:g}, got {nmi:.3f}",
        )


def _read_native(scan: ScanCandidate, settings: LoadSettings) -> NativeScan:
    volumes = settings.volumes
    if scan.form == "image":
        return read_image(scan, volumes.space, assume=settings.ingest.assume)
    if volumes.space == "MNI152-nonlinear":
        return read_warped(scan, volumes)
    return read_native(scan, volumes)


def _needs_mask_of_t1(native: NativeScan, settings: LoadSettings) -> bool:
    """Return whether an image that is no T1 is of a whole head without a mask, and the extractor knows T1 alone."""
    return (
        settings.ingest.brain_extractor == DEEPBET
        and native.brain_XYZ is None
        and bool(head_fault(native.volume, settings.volumes.max_nonzero_share))
    )


def _with_mask_of_t1(native: NativeScan, scan: ScanCandidate, settings: LoadSettings) -> tuple[NativeScan, str]:
    """Return an image with the brain mask of its visit's T1, and where that came from."""
    if scan.t1 is None:
        raise ScanRejected("not-skull-stripped", "deepbet knows T1 images alone and the visit has none; give a mask")
    try:
        t1 = _read_native(scan.t1, settings)
        brain, source = extract_brain(t1, settings.volumes, settings.ingest, settings.scratch)
    except ScanRejected as rejection:
        detail = f"of the visit's T1, whose brain mask is needed: {rejection.detail}"
        raise ScanRejected(rejection.reason, detail) from rejection
    if on_same_grid(t1.volume, native.volume):
        world_from_world_44 = np.eye(4)
    elif t1.mni_from_native_44 is not None and native.mni_from_native_44 is not None:
        world_from_world_44 = np.linalg.inv(t1.mni_from_native_44) @ native.mni_from_native_44
    else:
        raise ScanRejected(
            "not-skull-stripped",
            "deepbet knows T1 images alone, and no transforms to MNI152 tell how this image lies to its visit's T1; "
            "give a mask",
        )
    t1_from_scan_44 = np.linalg.inv(t1.volume.affine_44) @ world_from_world_44 @ native.volume.affine_44
    brain_XYZ = move_mask(brain.data_XYZ != 0, t1_from_scan_44, native.volume.data_XYZ.shape)
    return replace(native, brain_XYZ=brain_XYZ), f"t1 {source}"


def _load_connectivity(scan: ScanCandidate, settings: ConnectivitySettings) -> LoadedScan:
    connectome = CONNECTOMES[settings.name]
    measures = {}
    if scan.form == "edges":
        edges, num_empty = clean_edges(read_edges(scan, connectome.num_regions), fisher_z=settings.fisher_z)
        measures["empty_regions"] = float(num_empty)
    elif connectome.is_timeseries:
        timeseries_RT = parse_timeseries(read_connectome(scan.path, connectome), connectome.num_regions)
        edges, num_empty = correlate_regions(timeseries_RT, fisher_z=settings.fisher_z)
        measures |= {"empty_regions": float(num_empty), "timepoints": float(timeseries_RT.shape[1])}
    else:
        edges = parse_edges(read_connectome(scan.path, connectome), connectome.num_regions)
    measures |= {
        "mean_edge": float(edges.mean(dtype=np.float64)),
        "edge_spread": float(edges.std(dtype=np.float64)),
    }
    return LoadedScan(rows={settings.name: edges}, measures=measures, provenance={})
