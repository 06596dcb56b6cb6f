"""Choose among the images that a BIDS dataset has of one visit: one for each modality, with its mask and transform.

*Native* images lie in a space of the participant, by their name none, that of an image such as ``space-T1w``, or
``orig``, ``individual`` or ``ACPC``. Images with a ``space-MNI152…`` were warped there, by convention nonlinearly.

Masks are named as in the BIDS specification, 1.10, Imaging derivatives; transforms, which it does not name yet, as by
fMRIPrep: ``from-T1w_to-MNI152NLin6Asym_mode-image_xfm``.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmbase.records import ScanCandidate, Visit
from mmdata.sources.bids_names import BidsName
from mmdata.sources.volume_files import VOLUME_FILES
from mmdata.volume.settings import VolumeSettings

IMAGE_EXTENSIONS = (".nii", ".nii.gz")
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
_NOT_IN_MASK_KEYS = {"desc", "model", "param"}
"""Entities in which an image and its mask may differ."""
_TRANSFORM_KEYS = {"from", "to", "mode", "desc"}

_Entities = frozenset[tuple[str, str]]
_MaskKey = tuple[Path, _Entities]
"""What an image and its mask have in common: the folder, and the entities but for the description."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BidsFile:
    """An image, mask or transform of one visit."""

    folder: Path = field(repr=False)
    filename: str = field(repr=False)
    name: BidsName
    """The file name's parts."""
    dataset: int
    """Index of its dataset among those searched: pipelines by name."""
    is_derivative: bool
    """Whether it comes from a pipeline in ``derivatives``."""

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.folder / self.filename

    @property
    def space(self) -> str:
        """Label of the space entity, empty without one."""
        return self.name.entities.get("space", "")

    @property
    def desc(self) -> str:
        """Label of the desc entity, empty without one."""
        return self.name.entities.get("desc", "")


def choose_scans(visit: Visit, files: Sequence[BidsFile], volumes: VolumeSettings) -> tuple[list[ScanCandidate], int]:
    """Return one scan for each modality, and how many other acquisitions were passed over.

    An image of a pipeline comes before one of the dataset itself, and FSL's template before its others; then a
    brain-extracted image, one with a mask, and one with neither; a preprocessed one before a plain one; the first run;
    the first by name.

    Parameters
    ----------
    volumes
        Which map stands for dwi; in linear space native images are chosen, else images in a space of the template.
    """
    masks = {_mask_key(file): file for file in files if file.name.suffix == "mask" and file.desc == "brain"}
    transforms = [file for file in files if _is_transform(file)]
    images: dict[str, list[BidsFile]] = {}
    for file in files:
        modality = _modality(file.name, volumes)
        if modality and _is_usable(file, modality, masks, volumes.space):
            images.setdefault(modality, []).append(file)
    scans, num_passed_over = [], 0
    for modality, rivals in sorted(images.items()):
        best = min(rivals, key=lambda file: _rank(file, masks))
        acquisitions = {_acquisition(file) for file in rivals if file.dataset == best.dataset}
        num_passed_over += len(acquisitions) - 1
        scans.append(_candidate(visit, modality, best, masks, transforms, volumes.space))
    return scans, num_passed_over


def _candidate(
    visit: Visit,
    modality: str,
    image: BidsFile,
    masks: Mapping[_MaskKey, BidsFile],
    transforms: Sequence[BidsFile],
    space: str,
) -> ScanCandidate:
    in_template_space = space != _LINEAR
    mask = None if image.desc == "brain" else masks.get(_mask_key(image))
    return ScanCandidate(
        visit=visit,
        modality=modality,
        path=image.path,
        form="image",
        transform_path=None if in_template_space else _transform_of(image, modality, transforms),
        mask_path=mask.path if mask else None,
        in_template_space=in_template_space,
    )


def _modality(name: BidsName, volumes: VolumeSettings) -> str | None:
    if name.extension not in IMAGE_EXTENSIONS:
        return None
    shown = _map_name(name).lower()
    for modality, files in VOLUME_FILES.items():
        if shown == volumes.map_of(modality).lower() if files.has_maps else name.suffix == files.bids.suffix:
            return modality
    return None


def _map_name(name: BidsName) -> str:
    """Return what a diffusion map shows: ``param-FA_dwimap``, ``desc-FA_dwi`` or ``FA``."""
    desc = name.entities.get("desc", "")
    return {"dwimap": name.entities.get("param", desc), "dwi": desc}.get(name.suffix, name.suffix)


def _is_usable(file: BidsFile, modality: str, masks: Collection[_MaskKey], space: str) -> bool:
    if space == _LINEAR:
        own_spaces = (files.bids.suffix.lower() for files in VOLUME_FILES.values())
        return not file.space or file.space.lower() in {*_NATIVE_SPACES, *own_spaces}
    is_extracted = VOLUME_FILES[modality].bids.is_brain_only or file.desc == "brain" or _mask_key(file) in masks
    return file.space.startswith(_TEMPLATE) and is_extracted


def _rank(file: BidsFile, masks: Collection[_MaskKey]) -> tuple[object, ...]:
    """Return a key that sorts the best image first."""
    run = file.name.entities.get("run", "0")
    return (
        not file.is_derivative,
        file.space != _FSL_TEMPLATE,
        file.desc != "brain",
        _mask_key(file) not in masks,
        file.desc != "preproc",
        int(run) if run.isdecimal() else 0,
        file.dataset,
        file.filename,
    )


def _transform_of(image: BidsFile, modality: str, transforms: Sequence[BidsFile]) -> Path | None:
    """Return the affine that leads from the image's space to MNI152, of the same dataset and acquisition."""
    image_space = (image.space or VOLUME_FILES[modality].bids.suffix).lower()
    fitting = [
        (-len(acquisition), file.name.entities["to"] != _FSL_TEMPLATE, file.path)
        for file in transforms
        if file.dataset == image.dataset
        and file.name.entities["from"].lower() == image_space
        and (acquisition := _without(file.name, _TRANSFORM_KEYS)) <= _acquisition(image)
    ]
    return min(fitting)[-1] if fitting else None


def _is_transform(file: BidsFile) -> bool:
    entities = file.name.entities
    return (
        file.name.suffix == "xfm"
        and file.name.extension in TRANSFORM_EXTENSIONS
        and "from" in entities
        and entities.get("mode") == "image"
        and entities.get("to", "").startswith(_TEMPLATE)
    )


def _mask_key(file: BidsFile) -> _MaskKey:
    return file.folder, _without(file.name, _NOT_IN_MASK_KEYS)


def _acquisition(file: BidsFile) -> _Entities:
    return _without(file.name, _VERSION_KEYS)


def _without(name: BidsName, keys: Collection[str]) -> _Entities:
    return frozenset(entity for entity in name.entities.items() if entity[0] not in keys)
