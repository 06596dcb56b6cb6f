"""UK Biobank's bulk items of one visit: archives by member, and text files.

Member names are those of UK Biobank's own pipeline.
"""

import gzip
from collections.abc import Iterator

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

_NODDI_MAPS = ("ICVF", "OD", "ISOVF")


def archive_members(drawn: DrawnVisit) -> Iterator[tuple[str, Members]]:
    """Yield the field and the members of every archive of a visit."""
    gather = {"t1": _t1_members, "flair": _flair_members, "dwi": _dwi_members}
    for modality, scan in drawn.scans.items():
        yield scan.field, fault_in(drawn.visit, scan.field).gather(gather[modality](drawn, scan))
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


def _t1_members(drawn: DrawnVisit, scan: DrawnScan) -> Members:
    encode = fault_in(drawn.visit, scan.field).encode
    members = {
        "T1/T1_unbiased_brain.nii.gz": encode(scan.images["T1"], scan.pose.affine_44, scan.dtype),
        "T1/T1_brain_mask.nii.gz": encode_volume(scan.is_brain, scan.pose.affine_44, "uint8"),
        "T1/transforms/T1_to_MNI_linear.mat": _flirt_text(scan.pose),
    }
    if drawn.visit.has_extras:
        members["T1/T1_brain_to_MNI.nii.gz"] = _warped_file(scan, scan.images["T1"])
    return members


def _flair_members(drawn: DrawnVisit, scan: DrawnScan) -> Members:
    encode = fault_in(drawn.visit, scan.field).encode
    image = encode(scan.images["FLAIR"], scan.pose.affine_44, scan.dtype)
    members = {"T2_FLAIR/T2_FLAIR_unbiased_brain.nii.gz": image}
    if drawn.visit.flair_has_matrix:
        members["T2_FLAIR/transforms/T2_FLAIR_to_MNI_linear.mat"] = _flirt_text(scan.pose)
    if drawn.visit.has_extras:
        members["T2_FLAIR/T2_FLAIR_brain_to_MNI.nii.gz"] = _warped_file(scan, scan.images["FLAIR"])
    return members


def _dwi_members(drawn: DrawnVisit, scan: DrawnScan) -> Members:
    encode = fault_in(drawn.visit, scan.field).encode
    members = {
        "dMRI/dMRI/dti_FA.nii.gz": encode(scan.images["FA"], scan.pose.affine_44, scan.dtype),
        "dMRI/dMRI/dti_MD.nii.gz": encode_volume(scan.images["MD"], scan.pose.affine_44, scan.dtype),
        "dMRI/TBSS/FA/dti_FA_to_MNI_affine.mat": _flirt_text(scan.pose),
    }
    if drawn.visit.has_extras:
        for name in MAPS:
            file = f"dMRI/dMRI/{'NODDI' if name in _NODDI_MAPS else 'dti'}_{name}.nii.gz"
            members[file] = encode_volume(scan.images[name], scan.pose.affine_44, scan.dtype)
        warped = {name: _warped_file(scan, image) for name, image in scan.images.items()}
        members["dMRI/TBSS/FA/dti_FA_to_MNI.nii.gz"] = warped["FA"]
        members |= {f"dMRI/TBSS/stats/all_{name}.nii.gz": file for name, file in warped.items()}
    return members


def _series_file(series_RT: Map) -> bytes:
    return gzip.compress(timeseries.series_csv(series_RT), compresslevel=1, mtime=0)


def _warped_file(scan: DrawnScan, image: Map) -> bytes:
    return encode_volume(sample_on_mni152_1mm(image, scan.pose), MNI152_1MM.affine_44, scan.dtype)


def _flirt_text(pose: Pose) -> bytes:
    """Return a ``.mat`` file as FLIRT writes it."""
    flirt_44 = flirt_from_world(pose.mni_from_native_44, pose.frame)
    return "".join("  ".join(f"{value:.10f}" for value in row) + "  \n" for row in flirt_44.tolist()).encode()
