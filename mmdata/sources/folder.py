"""Find what a folder in the reference study's layout holds: images that lie in template space already.

Volumes are ``TRAIN|VAL|TEST/T1/<id>_t1.nii.gz`` or lie in ``T1`` at the root; likewise for every other volume
modality, folder and file by its name. Connectivity is one numpy table of edges, at the root or in a split's folder or
in a folder ``CONNECTIVITY`` there, beside the ids of its rows. Case does not matter. An id that ends in ``_2`` or
``_3`` names the imaging visit, else it is visit 2.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from mmbase.names import CONNECTIVITY
from mmbase.records import NOT_TEST, FoundSources, ScanCandidate, Visit, participant_number, rank_copies
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
    divides them into training and validation. Where there is TRAIN alone, the study divides them all.

    Raises
    ------
    SourceError
        The root does not exist, a folder or file cannot be read, ids and table of edges do not fit, or participants
        are in several splits.
    """
    require_folder(root, f"the folder that holds TRAIN, VAL and TEST, or {' or '.join(VOLUME_FILES).upper()}")
    parts = _parts(root)
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
        misnamed=count_misnamed(chain.from_iterable(map(_misnamed_in, parts))),
        labels={one.scan.visit.eid: one.label for one in found if str(one.scan.visit.eid) != one.label},
        splits=_settled_splits(found, root),
    )


def _parts(root: Path) -> list[_Part]:
    top = list_folder(root, root)
    splits = {name: _SPLIT_OF_FOLDER[name.lower()] for name in top.folders if name.lower() in _SPLIT_OF_FOLDER}
    listings = [(None, top), *((split, list_folder(top.path(name), root)) for name, split in splits.items())]
    return [
        _Part(
            split=split,
            listing=listing,
            volumes=[
                (name.lower(), list_folder(listing.path(name), root))
                for name in listing.folders
                if name.lower() in VOLUME_FILES
            ],
            edge_tables=_edge_tables(listing, root),
        )
        for split, listing in listings
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
    scan = ScanCandidate(visit=visit, modality=modality, path=path, form="image", in_template_space=True)
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


def _settled_splits(found: Sequence[_FoundScan], root: Path) -> dict[int, str]:
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
        return {eid: NOT_TEST if split == "train" else split for eid, split in splits.items()}
    return {}
