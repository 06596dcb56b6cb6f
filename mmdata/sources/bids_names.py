"""Names in BIDS: entities, suffix and extension of a file.

An *entity* is a key with a label, ``ses-2``; a file name is entities and a suffix, joined by underscores, and an
extension. Keys, suffixes and extensions mean the same in any letter case; labels do not.

Source: the Brain Imaging Data Structure specification, 1.10, Common principles, Filenames.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

IMAGE_EXTENSIONS = (".nii", ".nii.gz")
_LABEL = r"[A-Za-z0-9+]+"
_FOLDER_NAME = re.compile(rf"(?P<key>(?i:sub|ses))-(?P<label>{_LABEL})")
_FILE_NAME = re.compile(
    rf"(?P<entities>(?:[A-Za-z0-9]+-{_LABEL}_)+)"
    r"(?:(?P<image>(?!(?i:brain)_)[A-Za-z0-9]+)_(?=(?i:(?:brain_?)?mask)\.))?"
    r"(?P<suffix>(?i:brain_mask)|[A-Za-z0-9]+)(?P<extension>\.[A-Za-z0-9.]+)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BidsName:
    """A file name in its parts."""

    entities: Mapping[str, str] = field(repr=False)
    """Key, in lower case, to label: what precedes the suffix."""
    suffix: str
    """In lower case."""
    extension: str
    """With its dot, in lower case."""
    image_suffix: str = ""
    """Of a mask that repeats its image's suffix, ``T1w_brainmask``: that suffix, in lower case."""


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


def parse_name(name: str) -> BidsName | None:
    """Return the parts of a file name, None where it is no BIDS name.

    >>> name = parse_name("sub-01_ses-2_desc-brain_T1w.nii.gz")
    >>> name.suffix, name.extension, name.entities["desc"]
    ('t1w', '.nii.gz', 'brain')
    >>> mask = parse_name("sub-01_T1w_brain_mask.nii.gz")
    >>> mask.suffix, mask.image_suffix
    ('brain_mask', 't1w')
    >>> parse_name("T1w.nii.gz")
    """
    match = _FILE_NAME.fullmatch(name)
    if match is None:
        return None
    pairs = (entity.split("-") for entity in match["entities"].split("_")[:-1])
    return BidsName(
        entities={key.lower(): label for key, label in pairs},
        suffix=match["suffix"].lower(),
        extension=match["extension"].lower(),
        image_suffix=(match["image"] or "").lower(),
    )


def owner_of(name: BidsName) -> dict[str, str]:
    """Return the participant and session that a file's name names."""
    return {key: name.entities[key] for key in ("sub", "ses") if key in name.entities}


def parse_folder(name: str, key: str) -> str | None:
    """Return the label of a participant's (``sub``) or session's (``ses``) folder, None for any other.

    >>> parse_folder("ses-M12", "ses"), parse_folder("sub-01", "ses")
    ('M12', None)
    """
    match = _FOLDER_NAME.fullmatch(name)
    return match["label"] if match and match["key"].lower() == key else None
