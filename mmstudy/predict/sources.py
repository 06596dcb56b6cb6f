"""What a user names to predict from: folders of new people, or single images of one person.

A folder is ``ukb:DIR``, ``bids:DIR`` or ``folder:DIR``, as in a study's sources, or a folder alone, whose kind is the
only one that has scans in it. An image is ``t1=FILE.nii.gz``; several are of one person.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from mmbase.names import VOLUME_MODALITIES
from mmbase.records import ScanCandidate, Visit
from mmbase.sessions import FIRST_IMAGING_INSTANCE
from mmdata.errors import SourceError
from mmdata.sources.every import Source, SourceKind, find_sources, parse_source
from mmdata.study import StudyConfig

_IMAGE = re.compile(r"(?P<modality>\w+)=(?P<path>.*)")
_UKB = "ukb:"
_ONLY_PERSON = 1
"""Number of the person whose images are named one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedSources:
    """What was named."""

    folders: tuple[Source, ...] = ()
    images: tuple[ScanCandidate, ...] = field(default=(), repr=False)


def parse_sources(words: Sequence[str], config: StudyConfig) -> NamedSources:
    """Return what the words of a command line name.

    Parameters
    ----------
    config
        Says which scans are looked for where a folder's kind is not given, and whether scans without a transform are
        registered. Single images come without one: they are registered, or lie in template space already.

    Raises
    ------
    SourceError
        A word names neither a folder nor an image of a modality, a folder may be of several kinds, or folders and
        images are mixed.
    """
    images = [
        _parse_image(word, in_template_space=config.ingest.register == "never") for word in words if _is_image(word)
    ]
    folders = [_parse_folder(word, config) for word in words if not _is_image(word)]
    if images and folders:
        raise SourceError("Expected either folders or single images, got both.", "Predict from one after the other.")
    modalities = [image.modality for image in images]
    if len(set(modalities)) < len(modalities):
        raise SourceError(
            "Several images are of one modality, and single images are all of one person.",
            "For several people give a folder.",
        )
    return NamedSources(folders=tuple(folders), images=tuple(images))


def _is_image(word: str) -> bool:
    match = _IMAGE.fullmatch(word)
    return bool(match and match["modality"] in VOLUME_MODALITIES) or _is_nifti(word)


def _is_nifti(word: str) -> bool:
    return word.lower().endswith((".nii", ".nii.gz"))


def _parse_image(word: str, *, in_template_space: bool) -> ScanCandidate:
    match = _IMAGE.fullmatch(word)
    if not match or match["modality"] not in VOLUME_MODALITIES:
        raise SourceError(
            f"A single image needs its modality, one of {', '.join(VOLUME_MODALITIES)}.",
            "Write t1=FILE.nii.gz; images of several modalities side by side are of one person.",
        )
    if not match["path"]:
        raise SourceError(f"{match['modality']}= names no file.", f"Write {match['modality']}=FILE.nii.gz.")
    path = Path(match["path"]).expanduser()
    if not path.is_file():
        raise SourceError(f"The {match['modality']} image does not exist, or is no file.", "Correct the name.")
    return ScanCandidate(
        visit=Visit(_ONLY_PERSON, FIRST_IMAGING_INSTANCE),
        modality=match["modality"],
        path=path,
        form="image",
        in_template_space=in_template_space,
        may_assume_grid=in_template_space,
    )


def _parse_folder(word: str, config: StudyConfig) -> Source:
    if word.startswith(_UKB):
        return Source(kind="ukb", path=Path(word.removeprefix(_UKB)).expanduser())
    source = parse_source(word)
    if source.kind != "ukb":
        return source
    if not source.path.is_dir():
        raise SourceError(
            "A source is no folder.", "Expected ukb:DIR, bids:DIR, folder:DIR, a folder or t1=FILE.nii.gz."
        )
    kinds = [kind for kind in get_args(SourceKind) if _holds_scans(Source(kind=kind, path=source.path), config)]
    if len(kinds) == 1:
        return Source(kind=kinds[0], path=source.path)
    what = f"scans of several kinds: {', '.join(kinds)}" if kinds else "no scan of a kind that is known"
    raise SourceError(f"A folder that was named holds {what}.", "Say what it is: ukb:DIR, bids:DIR or folder:DIR.")


def _holds_scans(source: Source, config: StudyConfig) -> bool:
    try:
        return bool(find_sources([source], config).scans)
    except SourceError:
        return False
