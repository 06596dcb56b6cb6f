"""Find what a folder in the reference study's layout holds: images that lie in template space already.

The layout comes in two forms. One is plain: whoever can put files into folders can make it. The other is the reference
study's own, as its code reads it, and known by names that only it has: a folder ``AUGMENTATIONS`` at the root, or
``imaging_fmri_*.npy`` or ``metadata_*.csv`` in a split's folder. What is true of it alone:

splits    without a ``VAL``, participants in ``TEST``, sorted by id and counted from 0, are for testing where their
          number is even and for validation where it is odd; those in ``TRAIN`` are for training. Ids are sorted as
          numbers where all of them are, as the column ``biobank_id`` is there, else as text.
copies    ``AUGMENTATIONS/TRAIN/k/T1/<id>_t1.nii.gz`` is the augmented copy k + 1 of a volume in ``TRAIN``: copy 0 is
          the volume itself.

In both, volumes are ``TRAIN|VAL|TEST/T1/<id>_t1.nii.gz`` or lie in ``T1`` at the root; likewise for every other volume
modality, folder and file by its name. Connectivity is one numpy table of edges or matrices, at the root or in a split's
folder or in a folder ``CONNECTIVITY`` there, beside the ids of its rows. Case does not matter. An id that ends in
``_2`` or ``_3`` names the imaging visit, else it is visit 2.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from mmbase.names import CONNECTIVITY
from mmbase.records import (
    NOT_TEST,
    CopyCandidate,
    FoundSources,
    ScanCandidate,
    Visit,
    participant_number,
    rank_copies,
)
from mmbase.sessions import FIRST_IMAGING_INSTANCE
from mmdata.errors import SourceError
from mmdata.sources.edge_tables import ID_COLUMNS, EdgeTable, find_edge_table
from mmdata.sources.misnamed import FOREIGN_EXTENSIONS, Misnamed, count_misnamed
from mmdata.sources.tables import may_be_table, sort_tables
from mmdata.sources.volume_files import VOLUME_FILES
from mmdata.sources.walk import Listing, list_folder, require_folder

_SPLIT_OF_FOLDER = {
    "train": "train",
    "training": "train",
    "val": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_OWN_FILE = re.compile(r"imaging_fmri_.*\.npy|metadata_.*\.csv", re.IGNORECASE)
"""What only the reference study's own folders have in their splits."""
_AUGMENTATIONS = "augmentations"
_VOLUME_NAME = re.compile(r"(?P<id>.+)_(?P<modality>[^_.]+)\.nii(\.gz)?", re.IGNORECASE)
_ID = re.compile(r"(?P<number>\d+)_(?P<instance>[23])|(?P<label>.+)", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """The root or a split's folder."""

    split: str | None
    listing: Listing
    volumes: Sequence[tuple[str, Listing]]
    """Modality and what lies in its folder."""
    edge_tables: Sequence[EdgeTable]


@dataclass(frozen=True, kw_only=True, slots=True)
class _FoundScan:
    label: str = field(repr=False)
    split: str | None
    scan: ScanCandidate


def find_folder(root: Path) -> FoundSources:
    """List the scans and tables of a folder in the reference study's layout.

    The folders' split is kept. Where there is a TEST but no VAL, participants in TRAIN are ``not-test``: the study
    divides them into training and validation, unless the layout is the reference study's own. Where there is TRAIN
    alone, the study divides them all.

    Raises
    ------
    SourceError
        The root does not exist, a folder or file cannot be read, ids and table of edges do not fit, participants are in
        several splits, or copies are not numbered from 0 on.
    """
    require_folder(root, f"the folder that holds TRAIN, VAL and TEST, or {' or '.join(VOLUME_FILES).upper()}")
    top = list_folder(root, root)
    parts = _parts(top, root)
    augmented = _augmented_parts(top, root)
    found = list(chain.from_iterable(map(_scans_in, parts)))
    scans: dict[tuple[int, int, str], list[ScanCandidate]] = defaultdict(list)
    for one in found:
        scans[one.scan.visit.eid, one.scan.visit.instance, one.scan.modality].append(one.scan)
    id_lists = {table.id_list for part in parts for table in part.edge_tables}
    texts = [part.listing.path(name) for part in parts for name in part.listing.files if may_be_table(name)]
    sorted_texts = sort_tables((path for path in texts if path not in id_lists), id_columns=ID_COLUMNS)
    return FoundSources(
        scans=tuple(rank_copies(*scans[key]) for key in sorted(scans)),
        tables=sorted_texts.tables,
        withdrawal_lists=sorted_texts.withdrawal_lists,
        number_lists=sorted_texts.number_lists,
        passed_over=sorted_texts.passed_over,
        num_duplicates=len(found) - len(scans),
        copies=tuple(_copies_in(augmented)),
        misnamed=count_misnamed(chain.from_iterable(map(_misnamed_in, [*parts, *augmented]))),
        labels={one.scan.visit.eid: one.label for one in found if str(one.scan.visit.eid) != one.label},
        splits=_settled_splits(found, root, is_own=_is_own_layout(top, parts)),
    )


def _is_own_layout(top: Listing, parts: Sequence[_Part]) -> bool:
    """Return whether a folder is as the reference study's own code reads it."""
    files = chain.from_iterable(part.listing.files for part in parts if part.split)
    return _AUGMENTATIONS in map(str.lower, top.folders) or any(map(_OWN_FILE.fullmatch, files))


def _parts(top: Listing, root: Path) -> list[_Part]:
    splits = {name: _SPLIT_OF_FOLDER[name.lower()] for name in top.folders if name.lower() in _SPLIT_OF_FOLDER}
    listings = [(None, top), *((split, list_folder(top.path(name), root)) for name, split in splits.items())]
    return [
        _Part(
            split=split,
            listing=listing,
            volumes=_volume_folders(listing, root),
            edge_tables=_edge_tables(listing, root),
        )
        for split, listing in listings
    ]


def _volume_folders(listing: Listing, root: Path) -> list[tuple[str, Listing]]:
    return [
        (name.lower(), list_folder(listing.path(name), root))
        for name in listing.folders
        if name.lower() in VOLUME_FILES
    ]


def _augmented_parts(top: Listing, root: Path) -> list[_Part]:
    """Return the folders of augmented copies in their order; none where there are none."""
    above = [list_folder(top.path(name), root) for name in top.folders if name.lower() == _AUGMENTATIONS]
    train = [
        list_folder(listing.path(name), root)
        for listing in above
        for name in listing.folders
        if _SPLIT_OF_FOLDER.get(name.lower()) == "train"
    ]
    listings = {name: list_folder(one.path(name), root) for one in train for name in one.folders if name[0] != "."}
    expected = [str(number) for number in range(len(listings))]
    if sorted(listings) != sorted(expected):
        raise SourceError(
            f"The folder AUGMENTATIONS/TRAIN of {root} has {len(listings):,} folders, and not all of them are the "
            "numbers from 0 on, without a gap. Expected a folder for each augmented copy: 0, 1, 2 and so on.",
            "Rename them, or move what is no copy out of the source.",
        )
    return [
        _Part(split="train", listing=listings[name], volumes=_volume_folders(listings[name], root), edge_tables=())
        for name in expected
    ]


def _edge_tables(listing: Listing, root: Path) -> list[EdgeTable]:
    """Return the tables of edges in a folder and in its CONNECTIVITY folder."""
    inner = [list_folder(listing.path(name), root) for name in listing.folders if name.lower() == CONNECTIVITY]
    return [table for one in (listing, *inner) if (table := find_edge_table(one))]


def _scans_in(part: _Part) -> Iterator[_FoundScan]:
    for modality, listing in part.volumes:
        for name in listing.files:
            match = _VOLUME_NAME.fullmatch(name)
            if match and match["modality"].lower() == modality:
                yield _volume(match["id"], modality, listing.path(name), part.split)
    for table in part.edge_tables:
        for row, name in enumerate(table.ids):
            yield _edges(name, row, table.path, part.split)


def _copies_in(augmented: Sequence[_Part]) -> list[CopyCandidate]:
    """Return the copies in the folders of each number, the first file of each by name."""
    copies: dict[tuple[Visit, str, int], CopyCandidate] = {}
    for number, part in enumerate(augmented):
        for one in _scans_in(part):
            key = (one.scan.visit, one.scan.modality, number)
            copies.setdefault(key, CopyCandidate(copy=number + 1, scan=one.scan))
    return [copies[key] for key in sorted(copies)]


def _misnamed_in(part: _Part) -> Iterator[Misnamed]:
    """Yield images outside their modality's folder, and those in it whose names do not say that they are of it.

    Masks are no images.
    """
    for name in part.listing.files:
        match = _VOLUME_NAME.fullmatch(name)
        if match and (modality := match["modality"].lower()) in VOLUME_FILES:
            yield Misnamed(modality, f"expected in a folder {modality.upper()}", name)
    for modality, listing in part.volumes:
        for name in listing.files:
            match = _VOLUME_NAME.fullmatch(name)
            is_image = ".nii" in name.lower() or name.lower().endswith(FOREIGN_EXTENSIONS)
            if is_image and not (match and match["modality"].lower() in {modality, "mask"}) and name[0] != ".":
                yield Misnamed(modality, f"expected <id>_{modality}.nii.gz", name)


def _volume(name: str, modality: str, path: Path, split: str | None) -> _FoundScan:
    label, visit = _parse_id(name)
    scan = ScanCandidate(
        visit=visit, modality=modality, path=path, form="image", in_template_space=True, may_assume_grid=True
    )
    return _FoundScan(label=label, split=split, scan=scan)


def _edges(name: str, row: int, path: Path, split: str | None) -> _FoundScan:
    label, visit = _parse_id(name)
    scan = ScanCandidate(visit=visit, modality=CONNECTIVITY, path=path, form="edges", table_row=row)
    return _FoundScan(label=label, split=split, scan=scan)


def _parse_id(name: str) -> tuple[str, Visit]:
    """Return a participant's label and the visit that an id names."""
    match = _ID.fullmatch(name)
    assert match, "an id has a character"
    label = match["number"] or match["label"]
    return label, Visit(participant_number(label), int(match["instance"] or FIRST_IMAGING_INSTANCE))


def _settled_splits(found: Sequence[_FoundScan], root: Path, *, is_own: bool) -> dict[int, str]:
    settled = {(one.scan.visit.eid, one.split) for one in found if one.split}
    splits = dict(settled)
    if len(splits) < len(settled):
        num_several = sum(num > 1 for num in Counter(eid for eid, _ in settled).values())
        raise SourceError(
            f"{num_several:,} participants of {root} are in more than one of its splits. Expected each in one of "
            "TRAIN, VAL and TEST: a model must not be tested on those it was trained on.",
            "Take them out of all but one.",
        )
    if "val" in splits.values():
        return splits
    if "test" in splits.values():
        if is_own:
            return splits | _divided_test(found)
        return {eid: NOT_TEST if split == "train" else split for eid, split in splits.items()}
    return {}


def _divided_test(found: Sequence[_FoundScan]) -> dict[int, str]:
    """Return who of TEST tests and who validates, as the reference study's code divides them."""
    labels = {one.label: one.scan.visit.eid for one in found if one.split == "test"}
    are_numbers = all(label.isascii() and label.isdecimal() for label in labels)
    ordered = sorted(labels, key=lambda label: (int(label) if are_numbers else 0, label))
    return {labels[label]: "val" if position % 2 else "test" for position, label in enumerate(ordered)}
