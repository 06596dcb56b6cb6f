"""Rank the images that a BIDS dataset has of one visit: for each modality the best first, with masks and transforms.

*Native* images lie in a space of the participant, by their name none, that of an image such as ``space-T1w``, or
``orig``, ``individual`` or ``ACPC``. Images with a ``space-MNI152…`` were warped there, by convention nonlinearly.

Masks: `bids_masks`. Transforms, which the specification does not name yet, are named as by fMRIPrep:
``from-T1w_to-MNI152NLin6Asym_mode-image_xfm``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from mmbase.records import ScanCandidate, Visit, rank_copies
from mmdata.sources.bids_masks import is_brain_mask, masks_of, without
from mmdata.sources.bids_names import IMAGE_EXTENSIONS, BidsFile, BidsName
from mmdata.sources.volume_files import VOLUME_FILES
from mmdata.volume.settings import VolumeSettings

TRANSFORM_EXTENSIONS = (".txt", ".mat")
"""Of affine transforms; ``.h5`` holds a warp."""
_NATIVE_SPACES = ("t2w", "orig", "individual", "acpc")
"""In lower case, beside the suffixes of volumes: a native image's own space is called by its suffix."""
_TEMPLATE = "MNI152"
_FSL_TEMPLATE = "MNI152NLin6Asym"
"""FSL's, to which UK Biobank's transforms lead."""
_LINEAR = "MNI152-linear"
_VERSION_KEYS = {"space", "res", "den", "desc", "model", "param"}
"""Entities that tell versions of one acquisition apart."""
_TRANSFORM_KEYS = {"from", "to", "mode", "desc"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Image:
    """An image that can stand for a modality."""

    file: BidsFile
    masks: Sequence[Path | None] = field(repr=False)
    """The best first, as `bids_masks.masks_of` returns them."""


def choose_scans(visit: Visit, files: Sequence[BidsFile], volumes: VolumeSettings) -> tuple[list[ScanCandidate], int]:
    """Return one scan with its copies for each modality, and how many acquisitions there are beside the best.

    An image of a pipeline comes before one of the dataset itself, and FSL's template before its others; then a
    brain-extracted image, one with a mask, and one with neither; a preprocessed one before a plain one; the first run;
    the first by name.

    Parameters
    ----------
    volumes
        Which map stands for dwi; in linear space native images are chosen, else images in a space of the template.
    """
    masks = [file for file in files if is_brain_mask(file.name)]
    transforms = [file for file in files if _is_transform(file)]
    images: dict[str, list[_Image]] = {}
    for file in files:
        if modality := modality_of(file.name, volumes):
            image = _Image(file=file, masks=[] if file.desc == "brain" else masks_of(file, modality, masks))
            if _is_usable(image, modality, volumes.space):
                images.setdefault(modality, []).append(image)
    scans, num_further = [], 0
    for modality, rivals in sorted(images.items()):
        rivals.sort(key=_rank)
        best = rivals[0].file
        acquisitions = {_acquisition(image.file) for image in rivals if image.file.dataset == best.dataset}
        num_further += len(acquisitions) - 1
        copies = (copy for image in rivals for copy in _copies(visit, modality, image, transforms, volumes.space))
        scans.append(rank_copies(*copies))
    return scans, num_further


def _copies(
    visit: Visit, modality: str, image: _Image, transforms: Sequence[BidsFile], space: str
) -> Iterator[ScanCandidate]:
    """Yield an image with each of its masks and transforms."""
    in_template_space = space != _LINEAR
    fitting = [] if in_template_space else _transforms_of(image.file, modality, transforms)
    for mask, transform in product(image.masks or (None,), fitting or (None,)):
        yield ScanCandidate(
            visit=visit,
            modality=modality,
            path=image.file.path,
            form="image",
            transform_path=transform,
            mask_path=mask,
            in_template_space=in_template_space,
        )


def modality_of(name: BidsName, volumes: VolumeSettings) -> str | None:
    """Return the modality that a file's name says it is an image of, None where it is of none."""
    if name.extension not in IMAGE_EXTENSIONS:
        return None
    shown = _map_name(name).lower()
    for modality, files in VOLUME_FILES.items():
        if shown == (volumes.map_of(modality) if files.has_maps else files.bids.suffix).lower():
            return modality
    return None


def _map_name(name: BidsName) -> str:
    """Return what a diffusion map shows: ``param-FA_dwimap``, ``desc-FA_dwi`` or ``FA``."""
    desc = name.entities.get("desc", "")
    return {"dwimap": name.entities.get("param", desc), "dwi": desc}.get(name.suffix, name.suffix)


def _is_usable(image: _Image, modality: str, space: str) -> bool:
    file = image.file
    if space == _LINEAR:
        own_spaces = (files.bids.suffix.lower() for files in VOLUME_FILES.values())
        return not file.space or file.space.lower() in {*_NATIVE_SPACES, *own_spaces}
    is_extracted = VOLUME_FILES[modality].bids.is_brain_only or file.desc == "brain" or bool(image.masks)
    return file.space.startswith(_TEMPLATE) and is_extracted


def _rank(image: _Image) -> tuple[object, ...]:
    """Return a key that sorts the best image first."""
    file = image.file
    run = file.name.entities.get("run", "0")
    return (
        not file.is_derivative,
        file.space != _FSL_TEMPLATE,
        file.desc != "brain",
        not image.masks,
        file.desc != "preproc",
        int(run) if run.isdecimal() else 0,
        file.dataset,
        file.filename,
    )


def _transforms_of(image: BidsFile, modality: str, transforms: Sequence[BidsFile]) -> list[Path]:
    """Return the affines from the image's space to MNI152, of the same dataset and acquisition, the best first."""
    image_space = (image.space or VOLUME_FILES[modality].bids.suffix).lower()
    fitting = [
        (-len(acquisition), file.name.entities["to"] != _FSL_TEMPLATE, file.path)
        for file in transforms
        if file.dataset == image.dataset
        and file.name.entities["from"].lower() == image_space
        and (acquisition := without(file.name, _TRANSFORM_KEYS)) <= _acquisition(image)
    ]
    return [path for *_, path in sorted(fitting)]


def _is_transform(file: BidsFile) -> bool:
    entities = file.name.entities
    return (
        file.name.suffix == "xfm"
        and file.name.extension in TRANSFORM_EXTENSIONS
        and "from" in entities
        and entities.get("mode") == "image"
        and entities.get("to", "").startswith(_TEMPLATE)
    )


def _acquisition(file: BidsFile) -> frozenset[tuple[str, str]]:
    return without(file.name, _VERSION_KEYS)
