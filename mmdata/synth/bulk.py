"""UK Biobank's bulk items of one visit: archives by member, and text files.

Member names are those of UK Biobank's own pipeline, `mmdata.sources.volume_files`.
"""

import gzip
from collections.abc import Iterator

import numpy as np

from mmdata.sources.volume_files import ONLY_IMAGE, VOLUME_FILES
from mmdata.synth import timeseries
from mmdata.synth.anatomy import Map
from mmdata.synth.drawing import DrawnScan, DrawnVisit
from mmdata.synth.faults.kinds import fault_in
from mmdata.synth.faults.members import Members
from mmdata.synth.microstructure import MAPS
from mmdata.synth.pose import Pose
from mmdata.synth.template_space import sample_on_mni152_1mm
from mmdata.volume.flirt import MNI152_1MM, flirt_from_world
from mmdata.volume.nifti import encode_volume


def archive_members(drawn: DrawnVisit) -> Iterator[tuple[str, Members]]:
    """Yield the field and the members of every archive of a visit."""
    for modality, scan in drawn.scans.items():
        gather = _map_members if VOLUME_FILES[modality].has_maps else _scan_members
        yield scan.field, fault_in(drawn.visit, scan.field).gather(gather(drawn, modality, scan))
    for field, series in drawn.series.items():
        members = {f"fMRI.{name}.csv.gz": _series_file(series_RT) for name, series_RT in series.items()}
        yield field, fault_in(drawn.visit, field).gather(members)


def archive_files(drawn: DrawnVisit) -> Iterator[tuple[str, bytes]]:
    """Yield the field and the bytes of every archive of a visit."""
    for field, members in archive_members(drawn):
        yield field, fault_in(drawn.visit, field).pack(members)


def text_files(drawn: DrawnVisit) -> Iterator[tuple[str, bytes]]:
    """Yield the field and the bytes of every text file of a visit."""
    for field, edges_E in drawn.edges.items():
        yield field, timeseries.edges_txt(edges_E)


def item_name(drawn: DrawnVisit, field: str) -> str:
    """Return ``EID_FIELD_INSTANCE_ARRAY``."""
    return f"{drawn.eid}_{field}_{drawn.visit.instance}_0"


def _scan_members(drawn: DrawnVisit, modality: str, scan: DrawnScan) -> Members:
    """Return a scan's members; an image on another's grid has no mask of its own, and may lack a matrix of its own."""
    files, affine_44 = VOLUME_FILES[modality].ukb, scan.pose.affine_44
    image, (content, *_) = files.images[ONLY_IMAGE], scan.images.values()
    members = {image.brain: fault_in(drawn.visit, scan.field).encode(content, affine_44, scan.dtype)}
    if image.mask and not files.base:
        members[image.mask] = encode_volume(scan.is_brain, affine_44, "uint8")
    if files.matrix and (not files.base or drawn.visit.flair_has_matrix):
        members[files.matrix] = _flirt_text(scan.pose)
    if files.matrix_to_base:
        members[files.matrix_to_base] = _flirt_text(scan.pose, drawn.poses[files.base])
    if drawn.visit.has_extras and image.warped:
        members[image.warped] = _warped_file(scan, content)
    return members


def _map_members(drawn: DrawnVisit, modality: str, scan: DrawnScan) -> Members:
    files, affine_44 = VOLUME_FILES[modality].ukb, scan.pose.affine_44
    members = {
        files.images["FA"].brain: fault_in(drawn.visit, scan.field).encode(scan.images["FA"], affine_44, scan.dtype),
        files.images["MD"].brain: encode_volume(scan.images["MD"], affine_44, scan.dtype),
        files.matrix: _flirt_text(scan.pose),
    }
    if drawn.visit.has_extras:
        for name in MAPS:
            members[files.images[name].brain] = encode_volume(scan.images[name], affine_44, scan.dtype)
        warped = {name: _warped_file(scan, image) for name, image in scan.images.items()}
        members[files.images["FA"].warped] = warped["FA"]
        members |= {f"dMRI/TBSS/stats/all_{name}.nii.gz": file for name, file in warped.items()}
    return members


def _series_file(series_RT: Map) -> bytes:
    return gzip.compress(timeseries.series_csv(series_RT), compresslevel=1, mtime=0)


def _warped_file(scan: DrawnScan, image: Map) -> bytes:
    return encode_volume(sample_on_mni152_1mm(image, scan.pose), MNI152_1MM.affine_44, scan.dtype)


def _flirt_text(pose: Pose, base: Pose | None = None) -> bytes:
    """Return a ``.mat`` file as FLIRT writes it: to MNI152, or to the image of another pose."""
    if base is None:
        flirt_44 = flirt_from_world(pose.mni_from_native_44, pose.frame)
    else:
        base_from_native_44 = np.linalg.inv(base.mni_from_native_44) @ pose.mni_from_native_44
        flirt_44 = flirt_from_world(np.asarray(base_from_native_44, np.float64), pose.frame, base.frame)
    return "".join("  ".join(f"{value:.10f}" for value in row) + "  \n" for row in flirt_44.tolist()).encode()
