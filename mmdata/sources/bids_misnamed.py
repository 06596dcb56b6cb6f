"""Images in a BIDS dataset that are of a modality by their look, and whose names or folders BIDS does not know.

An image *seems* to be of a modality when its name ends in that modality's suffix, whatever comes before it. The names
that other programs write, ``sub-01_ses-M00_T1w_space-MNI_T1w.nii.gz`` or ``sub-ADNI002_S_0295_T1w.nii.gz``, are not
guessed at: two readings of one name could be two participants.
"""

import re
from collections.abc import Iterator, Mapping

from mmdata.sources.bids_choice import modality_of
from mmdata.sources.bids_names import IMAGE_EXTENSIONS, owner_of, parse_name
from mmdata.sources.misnamed import FOREIGN_EXTENSIONS, UNFINISHED_ENDINGS, Misnamed
from mmdata.sources.volume_files import VOLUME_FILES
from mmdata.sources.walk import Listing
from mmdata.volume.settings import VolumeSettings

_COPY_MARK = re.compile(r"( ?\(\d+\)| - copy)$")
"""What browsers and desktops put behind the name of a second copy."""
_UNFINISHED = re.compile(f"({'|'.join(map(re.escape, UNFINISHED_ENDINGS))})$")
_NO_BIDS_NAME = "expected sub-<label>[_ses-<label>][_<key>-<label>]_<suffix>.nii.gz, labels of letters and digits"


def misnamed_images(listing: Listing, entities: Mapping[str, str], volumes: VolumeSettings) -> Iterator[Misnamed]:
    """Yield the images of a datatype's folder whose names are not understood.

    Parameters
    ----------
    entities
        The participant and session that the folder is of.
    """
    for filename in listing.files:
        modality = _seeming_modality(filename, volumes)
        if modality and (fault := _fault(filename, modality, entities, volumes)):
            yield Misnamed(modality, fault, filename)


def misplaced_images(listing: Listing, fault: str, volumes: VolumeSettings) -> Iterator[Misnamed]:
    """Yield the images of a folder in which none is looked for."""
    for filename in listing.files:
        if modality := _seeming_modality(filename, volumes):
            yield Misnamed(modality, fault, filename)


def _seeming_modality(filename: str, volumes: VolumeSettings) -> str | None:
    stem, _, extension = _UNFINISHED.sub("", filename.lower()).partition(".")
    if not stem or not f".{extension}".endswith((*IMAGE_EXTENSIONS, *FOREIGN_EXTENSIONS)):
        return None
    stem = _COPY_MARK.sub("", stem)
    suffix = stem.rpartition("_")[2]
    for modality, files in VOLUME_FILES.items():
        expected = (volumes.map_of(modality) if files.has_maps else files.bids.suffix).lower()
        is_map = files.has_maps and re.search(rf"(param|desc)-{expected}_(.+_)?dwi(map)?$", stem)
        if suffix in (expected, expected.removesuffix("w")) or is_map:
            return modality
    return None


def _fault(filename: str, modality: str, entities: Mapping[str, str], volumes: VolumeSettings) -> str:
    """Say what is wrong with an image's name; nothing where it is understood."""
    name = parse_name(filename)
    if filename.lower().endswith(UNFINISHED_ENDINGS):
        return "the download is not complete"
    if not filename.lower().endswith(IMAGE_EXTENSIONS):
        return "expected a file .nii.gz or .nii"
    if name is None or name.extension not in IMAGE_EXTENSIONS:
        return _NO_BIDS_NAME
    owner = owner_of(name)
    if owner != entities:
        lacks_session = owner == {"sub": entities["sub"]}
        return (
            "the session of its folder is missing"
            if lacks_session
            else "its folder is of another participant or session"
        )
    if modality_of(name, volumes) is None:
        return f"expected the suffix {VOLUME_FILES[modality].bids.suffix}"
    return ""
