"""Images in a BIDS dataset that are of a modality by their look, and whose names or folders BIDS does not know.

An image *seems* to be of a modality when its name ends in that modality's suffix, whatever comes before it. The names
that other programs write, ``sub-01_ses-M00_T1w_space-MNI_T1w.nii.gz`` or ``sub-ADNI002_S_0295_T1w.nii.gz``, are not
guessed at: two readings of one name could be two participants.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from mmdata.sources.bids_choice import modality_of
from mmdata.sources.bids_names import IMAGE_EXTENSIONS, BidsName, owner_of
from mmdata.sources.misnamed import FOREIGN_EXTENSIONS, UNFINISHED_ENDINGS, Misnamed
from mmdata.sources.volume_files import VOLUME_FILES
from mmdata.sources.walk import Listing
from mmdata.volume.settings import VolumeSettings

_COPY_MARK = r" ?\(\d+\)| - copy"
"""What browsers and desktops put behind the name of a second copy."""
_NO_BIDS_NAME = "expected sub-<label>[_ses-<label>][_<key>-<label>]_<suffix>.nii.gz, labels of letters and digits"


def misnamed_image(
    filename: str, name: BidsName | None, entities: Mapping[str, str], volumes: VolumeSettings
) -> Misnamed | None:
    """Return what is wrong with a file of a datatype's folder, None where it is no image or is understood.

    Parameters
    ----------
    name
        The file name's parts, if it has any.
    entities
        The participant and session that the folder is of.
    """
    modality = _seeming_modality(filename, volumes)
    fault = _fault(filename, name, modality, entities, volumes) if modality else ""
    return Misnamed(modality, fault, filename) if modality and fault else None


def misplaced_images(listing: Listing, fault: str, volumes: VolumeSettings) -> Iterator[Misnamed]:
    """Yield the images of a folder in which none is looked for."""
    for filename in listing.files:
        if modality := _seeming_modality(filename, volumes):
            yield Misnamed(modality, fault, filename)


def _seeming_modality(filename: str, volumes: VolumeSettings) -> str | None:
    found = _pattern(volumes).search(filename.lower())
    return found.lastgroup if found else None


@cache
def _pattern(volumes: VolumeSettings) -> re.Pattern[str]:
    """Return what an image's name ends in, with a group named for each modality: one search for each of many files."""
    groups = []
    for modality, files in VOLUME_FILES.items():
        shown = re.escape((volumes.map_of(modality) if files.has_maps else files.bids.suffix).lower())
        as_map = rf"|(?:param|desc)-{shown}_(?:[^.]+_)?dwi(?:map)?" if files.has_maps else ""
        groups.append(f"(?P<{modality}>{shown.removesuffix('w')}|{shown}{as_map})")
    extensions = "|".join(map(re.escape, (*IMAGE_EXTENSIONS, *FOREIGN_EXTENSIONS)))
    unfinished = "|".join(map(re.escape, UNFINISHED_ENDINGS))
    return re.compile(rf"^[^.]*_(?:{'|'.join(groups)})(?:{_COPY_MARK})?(?:{extensions})(?:{unfinished})?$")


def _fault(
    filename: str, name: BidsName | None, modality: str, entities: Mapping[str, str], volumes: VolumeSettings
) -> str:
    """Say what is wrong with an image's name; nothing where it is understood."""
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
