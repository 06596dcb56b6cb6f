"""Find what folders of UK Biobank files hold, by names alone: no archive is opened.

A *bulk item* is one field of one visit: an archive ``EID_FIELD_INSTANCE_ARRAY.zip``, the folder of that name it was
unpacked to, or a text file. ``(1)`` behind the name is a browser's mark of a second download: a further copy. A
*participant's folder*, ``EID`` or ``EID_INSTANCE``, holds several items unpacked together: ``T1``, ``T2_FLAIR``,
``dMRI`` and a csv of time series. Neither kind of folder is searched further.

Which fields and folders hold which volume: `volume_files`; which hold connectivity: `mmdata.volume.connectome`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from operator import itemgetter
from pathlib import Path, PurePosixPath

from mmbase.names import CONNECTIVITY
from mmbase.records import FoundSources, ScanCandidate, Visit, rank_copies
from mmbase.sessions import FIRST_IMAGING_INSTANCE
from mmdata.sources.misnamed import UNFINISHED_ENDINGS, Misnamed, count_misnamed
from mmdata.sources.tables import may_be_table, sort_tables
from mmdata.sources.volume_files import ONLY_IMAGE, VOLUME_FILES
from mmdata.sources.walk import Listing, folder_identity, require_folder, walk_folders
from mmdata.volume.connectome import CONNECTOMES, Connectome

_BULK_NAME = re.compile(
    r"(?P<eid>[1-9]\d{0,17})_(?P<field>\d+)_(?P<instance>\d{1,4})_\d+(?: ?\((?P<again>\d{1,3})\))?(?P<ending>\..+|/)",
    re.ASCII,
)
"""A folder's name is matched with a slash behind it."""
_PARTICIPANT_FOLDER = re.compile(r"(?P<eid>[1-9]\d{6})(?:_(?P<instance>\d))?", re.ASCII)
"""Eids have seven digits; folders named for a date have six or eight."""
_OTHER_FOLDERS = ("fMRI", "SWI")
"""Of a participant's unpacked folder, beside those of volumes."""
_PACKED = re.compile(
    r"\.(zip|tar|tgz|7z|rar|nii)(\.gz|\.bz2|\.xz|\.\d)?" + f"({'|'.join(map(re.escape, UNFINISHED_ENDINGS))})?$"
)
"""``.zip.1`` is how wget names a second download."""
_IMAGE_ENDING = re.compile(r"\.nii(\.gz)?$")
_LOOSE_IMAGES = {
    modality: _IMAGE_ENDING.sub("", PurePosixPath(files.ukb.images[ONLY_IMAGE].brain).name.lower())
    for modality, files in VOLUME_FILES.items()
    if not files.has_maps
}
"""Modality to the end of an image's name, without its extension."""

_Key = tuple[int, int, str]
"""Eid, instance and modality: sorts faster than a `Visit`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Contents:
    """What the names in one folder mean."""

    items: list[tuple[_Key, str]]
    """With the name that holds the item, in order; an empty name is the folder itself."""
    texts: list[str]
    """Names of files that may be tables or withdrawal lists."""
    folders: list[str]
    """Names of folders to search."""
    misnamed: list[Misnamed]


def find_release(
    roots: Sequence[Path],
    connectome: Connectome | None = CONNECTOMES["glasser360"],
    *,
    apart_from: Sequence[Path] = (),
) -> FoundSources:
    """List the scans, tables and withdrawal lists below some folders.

    Where a visit has an item more than once, the first is preferred: in the first of the roots, in the outer folder, by
    name. An archive comes before the folder that it was unpacked to, and both before a browser's second download.

    Parameters
    ----------
    connectome
        Which connectivity to look for; None for none.
    apart_from
        Folders not to search, because they are sources of another kind.

    Raises
    ------
    SourceError
        A folder does not exist or cannot be read.
    """
    for root in roots:
        require_folder(root, "the folder that holds UK Biobank's bulk files")
    seen = {folder_identity(folder, folder) for folder in apart_from if folder.is_dir()}
    modality_of, member = _modalities(connectome), connectome.member if connectome else ""
    paths: dict[_Key, Path] = {}
    further: dict[_Key, list[Path]] = defaultdict(list)
    texts: list[Path] = []
    misnamed: list[Misnamed] = []
    for root in roots:
        for listing in walk_folders(root, seen):
            contents = _interpret(listing, modality_of, member)
            listing.folders[:] = contents.folders
            texts.extend(map(listing.path, contents.texts))
            misnamed.extend(contents.misnamed)
            for key, name in contents.items:
                path = listing.path(name)
                if paths.setdefault(key, path) is not path:
                    further[key].append(path)
    found = sort_tables(texts)
    return FoundSources(
        scans=tuple(_candidates(paths, further)),
        tables=found.tables,
        withdrawal_lists=found.withdrawal_lists,
        number_lists=found.number_lists,
        passed_over=found.passed_over,
        num_duplicates=sum(map(len, further.values())),
        misnamed=count_misnamed(misnamed),
    )


def _modalities(connectome: Connectome | None) -> dict[tuple[str, str], str]:
    """Return the modality of each field and ending of a bulk item's name."""
    fields = {modality: files.ukb.field for modality, files in VOLUME_FILES.items()}
    if connectome and connectome.is_timeseries:
        fields[CONNECTIVITY] = connectome.field
    modality_of = {(str(field), ending): modality for modality, field in fields.items() for ending in (".zip", "/")}
    if connectome and not connectome.is_timeseries:
        modality_of[str(connectome.field), ".txt"] = CONNECTIVITY
    return modality_of


def _interpret(listing: Listing, modality_of: Mapping[tuple[str, str], str], member: str) -> _Contents:
    items = list(_items(sorted([*listing.files, *(f"{name}/" for name in listing.folders)]), modality_of))
    if visit := _participant_folder(listing, member):
        modalities = [modality for modality, files in VOLUME_FILES.items() if files.ukb.folder in listing.folders]
        modalities += [CONNECTIVITY] if member in listing.files else []
        items += [((*visit, modality), "") for modality in modalities]
        return _Contents(items=items, texts=[], folders=[], misnamed=[])
    return _Contents(
        items=items,
        texts=[name for name in listing.files if may_be_table(name) and not _BULK_NAME.fullmatch(name)],
        folders=[name for name in listing.folders if not _BULK_NAME.fullmatch(f"{name}/")],
        misnamed=[found for name in listing.files if (found := _misnamed(name, modality_of))],
    )


def _items(names: Iterable[str], modality_of: Mapping[tuple[str, str], str]) -> Iterator[tuple[_Key, str]]:
    """Yield the bulk items among some names in order, second downloads last."""
    again = []
    for name in names:
        match = _BULK_NAME.fullmatch(name)
        if match and (modality := modality_of.get((match["field"], match["ending"].lower()))):
            item = (int(match["eid"]), int(match["instance"]), modality), name
            if match["again"]:
                again.append(item)
            else:
                yield item
    yield from again


def _misnamed(name: str, modality_of: Mapping[tuple[str, str], str]) -> Misnamed | None:
    """Return what is wrong with a file that seems to be a bulk item or an image out of one, None where it is neither.

    >>> _misnamed("1000223_20252_2_0.zip.part", {("20252", ".zip"): "t1"}).fault
    'the download is not complete'
    """
    lower = name.lower()
    match = _BULK_NAME.fullmatch(name)
    if name.startswith(".") or (match and (match["field"], match["ending"].lower()) in modality_of):
        return None
    for modality, ending in _LOOSE_IMAGES.items():
        if _IMAGE_ENDING.sub("", lower).endswith(ending) and _IMAGE_ENDING.search(lower):
            return Misnamed(modality, "expected in a folder EID_FIELD_INSTANCE_ARRAY or EID", name)
    if _PACKED.search(lower):
        numbers = set(re.findall(r"\d+", name))
        for (field, ending), modality in modality_of.items():
            if field in numbers and ending != "/":
                expected = f"expected EID_{field}_INSTANCE_ARRAY{ending}"
                unfinished = lower.endswith(UNFINISHED_ENDINGS)
                return Misnamed(modality, "the download is not complete" if unfinished else expected, name)
    return None


def _participant_folder(listing: Listing, member: str) -> tuple[int, int] | None:
    """Return the eid and instance of a participant's folder, None for any other."""
    match = _PARTICIPANT_FOLDER.fullmatch(listing.folder.name)
    unpacked = {*_OTHER_FOLDERS, *(files.ukb.folder for files in VOLUME_FILES.values())}
    if match and (not unpacked.isdisjoint(listing.folders) or member in listing.files):
        return int(match["eid"]), int(match["instance"] or FIRST_IMAGING_INSTANCE)
    return None


def _candidates(paths: Mapping[_Key, Path], further: Mapping[_Key, Sequence[Path]]) -> Iterator[ScanCandidate]:
    for (eid, instance), keys in groupby(sorted(paths), key=itemgetter(0, 1)):
        for key in keys:
            modality = key[2]
            base = (eid, instance, VOLUME_FILES[modality].ukb.base if modality in VOLUME_FILES else "")
            transforms = [paths.get(base), *further.get(base, ())]
            copies = (
                ScanCandidate(visit=Visit(eid, instance), modality=modality, path=path, transform_path=transform)
                for transform, path in product(transforms, [paths[key], *further.get(key, ())])
            )
            yield rank_copies(*copies)
