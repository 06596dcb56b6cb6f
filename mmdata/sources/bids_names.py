"""Names in BIDS: entities, suffix and extension of a file.

An *entity* is a key with a label, ``ses-2``; a file name is entities and a suffix, joined by underscores, and an
extension.

Source: the Brain Imaging Data Structure specification, 1.10, Common principles, Filenames.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_LABEL = r"[A-Za-z0-9+]+"
_FOLDER_NAME = re.compile(rf"(?P<key>sub|ses)-(?P<label>{_LABEL})")
_FILE_NAME = re.compile(
    rf"(?P<entities>(?:[A-Za-z0-9]+-{_LABEL}_)+)(?P<suffix>[A-Za-z0-9]+)(?P<extension>\.[A-Za-z0-9.]+)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BidsName:
    """A file name in its parts."""

    entities: Mapping[str, str] = field(repr=False)
    """Key to label: what precedes the suffix."""
    suffix: str
    extension: str
    """With its dot."""


def parse_name(name: str) -> BidsName | None:
    """Return the parts of a file name, None where it is no BIDS name.

    >>> name = parse_name("sub-01_ses-2_desc-brain_T1w.nii.gz")
    >>> name.suffix, name.extension, name.entities["desc"]
    ('T1w', '.nii.gz', 'brain')
    >>> parse_name("T1w.nii.gz")
    """
    match = _FILE_NAME.fullmatch(name)
    if match is None:
        return None
    entities = dict(entity.split("-") for entity in match["entities"].split("_")[:-1])
    return BidsName(entities=entities, suffix=match["suffix"], extension=match["extension"])


def parse_folder(name: str, key: str) -> str | None:
    """Return the label of a participant's (``sub``) or session's (``ses``) folder, None for any other.

    >>> parse_folder("ses-M12", "ses"), parse_folder("sub-01", "ses")
    ('M12', None)
    """
    match = _FOLDER_NAME.fullmatch(name)
    return match["label"] if match and match["key"] == key else None
