"""Brain masks in BIDS: by which names they are known, and which image each belongs to.

The specification's name is that of the image with ``desc-brain_mask``; ``label-brain_mask``, ``_mask``, ``_brainmask``
and ``_brain_mask`` are known too, and before the latter three the image's suffix, ``_T1w_brainmask``. ``space-T1w`` is
the T1w image's own space, whether a name says so or not. A mask lies in the folder of its image or in another dataset
of the source, such as ``derivatives/synthstrip``.

Source: the Brain Imaging Data Structure specification, 1.10, Imaging derivatives.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from mmdata.sources.bids_names import IMAGE_EXTENSIONS, BidsFile, BidsName, parse_name
from mmdata.sources.misnamed import hide_words
from mmdata.sources.volume_files import VOLUME_FILES

_MASK_SUFFIXES = ("mask", "brainmask", "brain_mask")
_BRAIN_LABELS = ("brain", "brainmask")
_OWN_KEYS = {"desc", "label", "model", "param"}
"""Entities in which an image and its mask may differ."""


def is_brain_mask(name: BidsName) -> bool:
    """Return whether a file is by its name a brain mask.

    >>> names = ("desc-brain_mask", "label-brain_mask", "mask", "T1w_brainmask", "desc-lesion_mask", "lesion_mask")
    >>> [is_brain_mask(parse_name(f"sub-01_{name}.nii.gz")) for name in names]
    [True, True, True, True, False, False]
    """
    image_suffixes = {"", *(files.bids.suffix.lower() for files in VOLUME_FILES.values())}
    labels = [name.entities[key].lower() for key in ("desc", "label") if key in name.entities]
    return (
        name.suffix in _MASK_SUFFIXES
        and name.extension in IMAGE_EXTENSIONS
        and name.image_suffix in image_suffixes
        and all(label in _BRAIN_LABELS for label in labels)
    )


def masks_of(image: BidsFile, modality: str, masks: Sequence[BidsFile]) -> list[Path | None]:
    """Return an image's masks, the best first: beside it, of its own dataset, named as the specification has it.

    Where none beside it says of itself that it is of the brain, None comes last, for the image without a mask: a mask
    of another pipeline may be on another grid, and a plain ``_mask`` of something else.
    """
    suffix = VOLUME_FILES[modality].bids.suffix.lower()
    key = _key(image.name, suffix)
    fitting = [
        mask
        for mask in masks
        if mask.name.image_suffix in ("", suffix)
        and mask.folder.name.lower() == image.folder.name.lower()
        and _key(mask.name, suffix) == key
    ]
    fitting.sort(key=lambda mask: _rank(mask, image))
    is_certain = any(mask.folder == image.folder and _says_brain(mask.name) for mask in fitting)
    return [*(mask.path for mask in fitting), *([] if is_certain or not fitting else [None])]


def expected_mask(filename: str) -> str:
    """Return the name that an image's mask should have, without saying whose it is; nothing for no name in BIDS.

    >>> expected_mask("sub-1000223_ses-2_run-1_desc-preproc_T1w.nii.gz")
    'sub-…_ses-…_run-…_desc-brain_mask.nii.gz'
    """
    name = parse_name(filename)
    if name is None:
        return ""
    entities = (f"{key}-{label}" for key, label in name.entities.items() if key not in _OWN_KEYS)
    return hide_words(f"{'_'.join(entities)}_desc-brain_mask{name.extension}")


def without(name: BidsName, keys: Collection[str]) -> frozenset[tuple[str, str]]:
    """Return a name's entities but those of some keys."""
    return frozenset(entity for entity in name.entities.items() if entity[0] not in keys)


def _key(name: BidsName, suffix: str) -> frozenset[tuple[str, str]]:
    """Return what an image and its mask have in common; the space of the image's own suffix is no space."""
    is_own_space = name.entities.get("space", "").lower() == suffix
    return without(name, {*_OWN_KEYS, "space"} if is_own_space else _OWN_KEYS)


def _rank(mask: BidsFile, image: BidsFile) -> tuple[object, ...]:
    """Return a key that sorts an image's best mask first."""
    is_elsewhere, is_other_dataset = mask.folder != image.folder, mask.dataset != image.dataset
    return (is_elsewhere, is_other_dataset, mask.desc.lower() != "brain", not _says_brain(mask.name), mask.path)


def _says_brain(name: BidsName) -> bool:
    return "brain" in name.suffix or not {"desc", "label"}.isdisjoint(name.entities)
