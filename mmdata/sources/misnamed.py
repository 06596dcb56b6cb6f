"""Image files whose names are not understood: counted by what is wrong, and shown without saying whose they are."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from mmbase.records import MisnamedImages
from mmdata.sources.volume_files import VOLUME_FILES

FOREIGN_EXTENSIONS = (".mgz", ".mgh", ".img", ".nrrd", ".mnc", ".nii.bz2", ".nii.xz", ".nii.zst", ".nii.zip")
"""Of images in forms that are not read."""
UNFINISHED_ENDINGS = (".part", ".partial", ".filepart", ".crdownload", ".download", ".tmp")
"""Of downloads that were not complete."""
_FORMS = {
    word for ending in (".nii.gz", ".zip", *FOREIGN_EXTENSIONS, *UNFINISHED_ENDINGS) for word in ending.split(".")
}
_BIDS_WORDS = {
    *("sub", "ses", "run", "acq", "rec", "ce", "echo", "part", "space", "res", "den", "desc", "model", "param"),
    *("brain", "preproc", "mask", "t1", "anat", "dwi", "dwimap"),
}
_VOLUME_WORDS = {
    word.lower()
    for modality, files in VOLUME_FILES.items()
    for word in (modality, files.bids.suffix, str(files.ukb.field), *files.ukb.folder.split("_"))
}
_SHOWN_WORDS = {"", "unbiased", *_FORMS, *_BIDS_WORDS, *_VOLUME_WORDS}
_WORD = re.compile(r"(?P<owner>(?i:sub-))?(?P<word>[^\W_]+)")


@dataclass(frozen=True, slots=True)
class Misnamed:
    """One file that looks like an image and is not understood."""

    modality: str
    fault: str
    """What is wrong and what is expected."""
    name: str = field(repr=False)


def count_misnamed(found: Iterable[Misnamed]) -> tuple[MisnamedImages, ...]:
    """Return how many files have each fault, with an example of each: the first by name."""
    numbers: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for one in found:
        key = one.modality, one.fault
        numbers[key] += 1
        examples[key] = min(one.name, examples.get(key, one.name))
    return tuple(
        MisnamedImages(modality=modality, fault=fault, number=number, example=hide_words(examples[modality, fault]))
        for (modality, fault), number in sorted(numbers.items())
    )


def hide_words(name: str) -> str:
    """Hide in a file's name every word that does not belong to a naming scheme: it may be a participant's.

    >>> hide_words("sub-ADNI002_S_0295_desc-brain_T1w.nii.gz"), hide_words("1000223_20252_2_0.zip.part")
    ('sub-…_…_…_desc-brain_T1w.nii.gz', '…_20252_…_….zip.part')
    """
    return _WORD.sub(_shown, name)


def _shown(found: re.Match[str]) -> str:
    is_of_scheme = not found["owner"] and found["word"].lower() in _SHOWN_WORDS
    return f"{found['owner'] or ''}{found['word'] if is_of_scheme else '…'}"
