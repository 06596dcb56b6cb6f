"""Find what a BIDS dataset holds, raw or derived, by names alone.

Searched are ``sub-<label>[/ses-<label>]/<datatype>`` at the root and in every ``derivatives/<pipeline>``, for the
datatypes and suffixes in `volume_files` and for scalar diffusion maps. BIDS has no name yet for the connectivity of
regions, so none is found. Names mean the same in any letter case, but for labels. Images of the study's modalities
whose names are no BIDS names, or that lie elsewhere in a participant's folder, are counted: `bids_misnamed`. Tables of
participants lie at the root; those of a participant's sessions and of a visit's files lie with them.

Source: the Brain Imaging Data Structure specification, 1.10.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mmbase.records import FoundSources, ScanCandidate, Visit, VisitTable, participant_number
from mmbase.sessions import instance_of
from mmdata.errors import SourceError
from mmdata.sources.bids_choice import TRANSFORM_EXTENSIONS, choose_scans
from mmdata.sources.bids_misnamed import misnamed_image, misplaced_images
from mmdata.sources.bids_names import IMAGE_EXTENSIONS, BidsFile, owner_of, parse_folder, parse_name
from mmdata.sources.misnamed import Misnamed, count_misnamed
from mmdata.sources.tables import may_be_table, sort_tables
from mmdata.sources.volume_files import VOLUME_FILES
from mmdata.sources.walk import Listing, list_folder, require_folder
from mmdata.volume.settings import VolumeSettings

_DERIVATIVES = "derivatives"
_TABLE_KINDS: tuple[Literal["sessions", "scans"], ...] = ("sessions", "scans")
_DATATYPES = frozenset(
    (
        "anat",
        "dwi",
        "func",
        "fmap",
        "perf",
        "pet",
        "meg",
        "eeg",
        "ieeg",
        "nirs",
        "motion",
        "mrs",
        "micr",
        "beh",
        "figures",
        "log",
    )
)
"""The specification's, and what pipelines write beside them: what lies in them is what they say."""
_NO_LABEL = "expected in a folder {}-<label>, a label of letters and digits"
_ENDINGS = (*IMAGE_EXTENSIONS, *(f"_xfm{extension}" for extension in TRANSFORM_EXTENSIONS))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Dataset:
    """The root, or one pipeline's derivatives."""

    folder: Path
    index: int
    """In the order of search."""
    is_derivative: bool
    folders: Mapping[str, Sequence[str]] = field(repr=False)
    """Label of each participant to the names of the folders: ``SUB-01`` may lie beside ``sub-01``."""
    sidecars: Mapping[str, Path] = field(repr=False)
    """JSON files at its root that describe the tables of one kind, ``sessions`` or ``scans``, of all participants."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Participant:
    """What datasets have of one participant."""

    sessions: dict[str | None, list[BidsFile]] = field(default_factory=dict, repr=False)
    """Images, masks and transforms by session; None is without a session."""
    tables: dict[str, VisitTable] = field(default_factory=dict, repr=False)
    """By file name: the first dataset that has one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Search:
    """What is searched, and what is noticed on the way."""

    root: Path
    volumes: VolumeSettings
    misnamed: list[Misnamed] = field(default_factory=list, repr=False)


def find_bids(root: Path, volumes: VolumeSettings) -> FoundSources:
    """List the scans and tables of a BIDS dataset.

    A participant's label is the text after ``sub-``. A session is an imaging visit: `mmbase.sessions.instance_of` says
    which. Several images of one visit and modality are its copies, ranked by `bids_choice.choose_scans`. Tables and
    withdrawal lists are looked for at the root.

    Parameters
    ----------
    volumes
        Which map stands for dwi, and whether to look for native images or for those in nonlinear space.

    Raises
    ------
    SourceError
        The root does not exist, a folder cannot be read, or two sessions of a participant are the same visit.
    """
    require_folder(root, "the folder of a BIDS dataset, which holds sub-<label> folders or derivatives")
    search = _Search(root=root, volumes=volumes)
    datasets = _datasets(search)
    scans: list[ScanCandidate] = []
    labels: dict[int, str] = {}
    visit_tables: list[VisitTable] = []
    sessionless: dict[int, bool] = {}
    num_duplicates = 0
    for label in sorted(set[str]().union(*(dataset.folders for dataset in datasets))):
        eid = participant_number(label)
        num_scans_before = len(scans)
        participant = _participant(label, eid, datasets, search)
        visits = _visits(participant.sessions, root)
        for instance, files in visits.items():
            chosen, num_further = choose_scans(Visit(eid, instance), files, volumes)
            scans.extend(chosen)
            num_duplicates += num_further
        if len(scans) == num_scans_before:
            continue
        visit_tables.extend(participant.tables.values())
        if str(eid) != label:
            labels[eid] = label
        if participant.sessions.get(None):
            sessionless[eid] = len(visits) == 1
    found = sort_tables(root / name for name in list_folder(root, root).files if may_be_table(name))
    return FoundSources(
        scans=tuple(sorted(scans, key=lambda scan: (scan.visit.eid, scan.visit.instance, scan.modality))),
        tables=found.tables,
        visit_tables=tuple(visit_tables),
        sessionless=sessionless,
        withdrawal_lists=found.withdrawal_lists,
        number_lists=found.number_lists,
        passed_over=found.passed_over,
        num_duplicates=num_duplicates,
        misnamed=count_misnamed(search.misnamed),
        labels=labels,
    )


def _datasets(search: _Search) -> list[_Dataset]:
    top = list_folder(search.root, search.root)
    listings = [top]
    if _DERIVATIVES in top.folders:
        derivatives = list_folder(top.path(_DERIVATIVES), search.root)
        for name in derivatives.folders:
            if parse_folder(name, "sub"):
                _note_odd_folder(derivatives.path(name), "expected in a folder derivatives/<pipeline>", search)
            else:
                listings.append(list_folder(derivatives.path(name), search.root))
    return [_dataset(listing, index, search) for index, listing in enumerate(listings)]


def _dataset(listing: Listing, index: int, search: _Search) -> _Dataset:
    folders: dict[str, list[str]] = {}
    for name in listing.folders:
        if label := parse_folder(name, "sub"):
            folders.setdefault(label, []).append(name)
        elif name.lower().startswith("sub"):
            _note_odd_folder(listing.path(name), _NO_LABEL.format("sub"), search)
    misplaced = misplaced_images(listing, "expected in a folder sub-<label>", search.volumes)
    search.misnamed.extend(one for one in misplaced if one.name.lower().startswith("sub"))
    return _Dataset(
        folder=listing.folder,
        index=index,
        is_derivative=listing.folder != search.root,
        folders=folders,
        sidecars={kind: listing.path(f"{kind}.json") for kind in _TABLE_KINDS if f"{kind}.json" in listing.files},
    )


def _participant(label: str, eid: int, datasets: list[_Dataset], search: _Search) -> _Participant:
    """List the files of a participant's sessions in all datasets."""
    found = _Participant()
    for dataset in datasets:
        for folder in dataset.folders.get(label, ()):
            _add_folder(found, list_folder(dataset.folder / folder, search.root), label, eid, dataset, search)
    return found


def _add_folder(
    found: _Participant, listing: Listing, label: str, eid: int, dataset: _Dataset, search: _Search
) -> None:
    """Add what one folder of a participant holds."""
    found.sessions.setdefault(None, []).extend(_files(listing, {"sub": label}, dataset, search))
    sessions = {name: session for name in listing.folders if (session := parse_folder(name, "ses"))}
    tables = list(_tables(listing, {"sub": label}, eid, dataset, has_visits=not sessions))
    for name in listing.folders:
        if session := sessions.get(name):
            inner, entities = list_folder(listing.path(name), search.root), {"sub": label, "ses": session}
            found.sessions.setdefault(session, []).extend(_files(inner, entities, dataset, search))
            tables += _tables(inner, entities, eid, dataset, has_visits=True)
        elif name.lower().startswith("ses"):
            _note_odd_folder(listing.path(name), _NO_LABEL.format("ses"), search)
    for table in tables:
        found.tables.setdefault(table.path.name, table)


def _tables(
    listing: Listing, entities: Mapping[str, str], eid: int, dataset: _Dataset, *, has_visits: bool
) -> Iterator[VisitTable]:
    """List the table of a participant's sessions, and, in a folder that holds one visit, that of its files."""
    session = entities.get("ses")
    for kind in _TABLE_KINDS:
        stem = "_".join([*(f"{key}-{label}" for key, label in entities.items()), kind])
        if f"{stem}.tsv" not in listing.files or (session if kind == "sessions" else not has_visits):
            continue
        own = [listing.path(f"{stem}.json")] if f"{stem}.json" in listing.files else []
        yield VisitTable(
            path=listing.path(f"{stem}.tsv"),
            eid=eid,
            kind=kind,
            instance=instance_of(session) if kind == "scans" else None,
            sidecars=(*([dataset.sidecars[kind]] if kind in dataset.sidecars else []), *own),
        )


def _files(session: Listing, entities: Mapping[str, str], dataset: _Dataset, search: _Search) -> Iterator[BidsFile]:
    """List the images, masks and transforms of one session that are named for it."""
    odd = (name for name in session.folders if name.lower() not in _DATATYPES and not name.lower().startswith("ses"))
    for folder in (session, *(list_folder(session.path(name), search.root) for name in odd)):
        _note_misplaced(folder, "expected in a folder anat or dwi of the participant or session", search)
    for listing in _datatypes(session, search):
        for filename in listing.files:
            name = parse_name(filename) if filename.lower().endswith(_ENDINGS) else None
            if misnamed := misnamed_image(filename, name, entities, search.volumes):
                search.misnamed.append(misnamed)
            if name and owner_of(name) == entities:
                yield BidsFile(
                    folder=listing.folder,
                    filename=filename,
                    name=name,
                    dataset=dataset.index,
                    is_derivative=dataset.is_derivative,
                )


def _datatypes(session: Listing, search: _Search) -> Iterator[Listing]:
    wanted = {files.bids.datatype for files in VOLUME_FILES.values()}
    for name in session.folders:
        if name.lower() in wanted:
            yield list_folder(session.path(name), search.root)


def _note_odd_folder(folder: Path, fault: str, search: _Search) -> None:
    """Notice the images in a folder that is no participant's or session's by its name, and in the sessions below it."""
    listing = list_folder(folder, search.root)
    sessions = [list_folder(listing.path(name), search.root) for name in listing.folders if name.lower()[:3] == "ses"]
    for session in (listing, *sessions):
        for found in (session, *_datatypes(session, search)):
            _note_misplaced(found, fault, search)


def _note_misplaced(listing: Listing, fault: str, search: _Search) -> None:
    search.misnamed.extend(misplaced_images(listing, fault, search.volumes))


def _visits(sessions: Mapping[str | None, list[BidsFile]], root: Path) -> dict[int, list[BidsFile]]:
    """Return the files of each imaging visit."""
    session_of: dict[int, str | None] = {}
    for session, files in sessions.items():
        instance = instance_of(session)
        if not files:
            continue
        if instance in session_of:
            first, second = (f"ses-{name}" if name else "no session" for name in (session_of[instance], session))
            raise SourceError(
                f"Expected the sessions of a participant to be different imaging visits; in {root}, {first} and "
                f"{second} are both visit {instance}. A session's visit is the number in its label, 0 for a baseline, "
                "2 without a session.",
                "Rename one of the sessions in folders and file names.",
            )
        session_of[instance] = session
    return {instance: sessions[session] for instance, session in session_of.items()}
