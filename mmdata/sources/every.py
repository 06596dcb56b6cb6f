"""Find what all sources of a study hold, whichever kind they are, as one.

An entry of a study's sources is a folder of UK Biobank's bulk files, ``bids:FOLDER`` or ``folder:FOLDER``.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Literal

from mmbase.records import FoundSources, ScanCandidate, rank_copies
from mmbase.sessions import FIRST_IMAGING_INSTANCE
from mmdata.errors import SourceError
from mmdata.sources.bids import find_bids
from mmdata.sources.folder import find_folder
from mmdata.sources.ukb import find_release
from mmdata.sources.volume_files import VOLUME_FILES
from mmdata.study import StudyConfig
from mmdata.study_arrays import stored_modalities
from mmdata.volume.connectome import CONNECTOMES

SourceKind = Literal["ukb", "bids", "folder"]
_ENTRY = re.compile(r"(?:(?P<prefix>[a-z]{2,}):|(?![a-z]{2,}:))(?P<path>.+)")
_KIND_OF_PREFIX: dict[str | None, SourceKind] = {None: "ukb", "bids": "bids", "folder": "folder"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One entry of a study's sources."""

    kind: SourceKind
    path: Path

    @property
    def entry(self) -> str:
        """What stands for it in `study.toml`: the inverse of `parse_source`."""
        return str(self.path) if self.kind == "ukb" else f"{self.kind}:{self.path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Group:
    """Sources that are searched together."""

    kind: SourceKind
    paths: tuple[Path, ...]
    found: FoundSources = field(repr=False)


def parse_source(entry: str) -> Source:
    """Return what an entry of a study's sources stands for.

    >>> parse_source("bids:/data/oasis").kind, parse_source("/data/ukb").kind
    ('bids', 'ukb')

    Raises
    ------
    SourceError
        It names another kind, or no folder.
    """
    match = _ENTRY.fullmatch(entry)
    if match and (kind := _KIND_OF_PREFIX.get(match["prefix"])):
        return Source(kind=kind, path=Path(match["path"]).expanduser())
    raise SourceError(
        f"A source is {entry!r}. Expected a folder of UK Biobank files, bids:FOLDER or folder:FOLDER.",
        "Write ./ before the name of a folder that has a colon.",
    )


def find_sources(sources: Sequence[Source], config: StudyConfig, *, lists: Sequence[Path] = ()) -> FoundSources:
    """List the scans that a study stores, and the tables and withdrawal lists, of all its sources.

    All folders of UK Biobank files are one release. Of a scan that several sources have, the first one's copies come
    first. A file that the study has a use for, as a table, a list of test participants or of relatives, is no
    withdrawal list whatever its name.

    Parameters
    ----------
    lists
        Withdrawal lists that were given by name: they are not found once more.

    Raises
    ------
    SourceError
        A source does not exist, cannot be read or holds nothing of its kind; sources settle different splits for a
        participant; or no scan is of a modality that the study stores.
    """
    groups = _search(sources, config)
    for group in groups:
        _require_content(group)
    modalities = stored_modalities(config)
    merged = _merge([group.found for group in groups], modalities)
    if not merged.scans:
        kinds = {group.kind: _expected(group.kind) for group in groups}
        raise SourceError(
            f"The sources hold no scan of {', '.join(modalities)}. Expected {'; or '.join(kinds.values())}.",
            "Add the source that has them. What a study looks for is volumes.modalities in its study.toml.",
        )
    return _without_lists(merged, [*lists, *_files_in_use(config)])


def _files_in_use(config: StudyConfig) -> list[Path]:
    splits = config.splits
    return [Path(name) for name in (*config.tables, splits.test_list, splits.kinship) if name]


def _without_lists(found: FoundSources, known: Iterable[Path]) -> FoundSources:
    """Take files whose meaning is known out of the lists that were found by name."""
    resolved = {path.resolve() for path in known}

    def left(paths: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(path for path in paths if path.resolve() not in resolved)

    return replace(
        found,
        withdrawal_lists=left(found.withdrawal_lists),
        number_lists=left(found.number_lists),
        passed_over=left(found.passed_over),
    )


def _search(sources: Sequence[Source], config: StudyConfig) -> list[_Group]:
    volumes, connectivity = config.volumes, config.connectivity
    connectome = CONNECTOMES[connectivity.name] if connectivity.enabled else None
    releases = tuple(source.path for source in sources if source.kind == "ukb")
    others = [source.path for source in sources if source.kind != "ukb"]
    groups: list[_Group] = []
    for source in dict.fromkeys(sources):
        if source.kind == "bids":
            found = find_bids(source.path, volumes)
        elif source.kind == "folder":
            found = find_folder(source.path)
        elif any(group.kind == "ukb" for group in groups):
            continue
        else:
            found = find_release(releases, connectome, apart_from=others)
        groups.append(_Group(kind=source.kind, paths=releases if source.kind == "ukb" else (source.path,), found=found))
    return groups


def _require_content(group: _Group) -> None:
    """Refuse a source without scans; of UK Biobank's, some may hold tables alone."""
    found = group.found
    if not (found.scans or (group.kind == "ukb" and (found.tables or found.withdrawal_lists))):
        raise SourceError(
            f"{', '.join(map(str, group.paths))} holds no {_expected(group.kind)}.",
            "Give the folder that holds them."
            + (" BIDS and the reference study's layout have to be named as such." if group.kind == "ukb" else ""),
        )


def _expected(kind: SourceKind) -> str:
    """Say what a source of a kind holds."""
    match kind:
        case "ukb":
            fields = _either(sorted(str(files.ukb.field) for files in VOLUME_FILES.values()))
            return (
                f"UK Biobank imaging archives named EID_FIELD_INSTANCE_ARRAY.zip with a field of {fields} or of "
                "connectivity, or folders EID_FIELD_INSTANCE_ARRAY or EID that they were unpacked to"
            )
        case "bids":
            names = _either(
                f"{files.bids.datatype}/*_{'<map>' if files.has_maps else files.bids.suffix}.nii.gz"
                for files in VOLUME_FILES.values()
            )
            return (
                f"BIDS images, sub-<label>[/ses-<label>]/{names}, at the root or in derivatives/<pipeline>; where "
                "volumes are in the space MNI152-nonlinear, with space-MNI152… in their names"
            )
        case "folder":
            names = _either(f"{modality.upper()}/<id>_{modality}.nii.gz" for modality in VOLUME_FILES)
            return (
                f"images in the reference study's layout, [TRAIN|VAL|TEST/]{names}, or a .npy table of edges beside "
                "the list of its ids"
            )


def _either(names: Iterable[str]) -> str:
    """Join names as alternatives.

    >>> _either(["t1", "flair", "dwi"])
    't1, flair or dwi'
    """
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _merge(founds: Sequence[FoundSources], modalities: Sequence[str]) -> FoundSources:
    scans: dict[tuple[int, int, str], ScanCandidate] = {}
    num_duplicates = sum(found.num_duplicates for found in founds)
    for scan in chain.from_iterable(found.scans for found in founds):
        if scan.modality in modalities:
            key = (scan.visit.eid, scan.visit.instance, scan.modality)
            num_duplicates += key in scans
            scans[key] = rank_copies(scans[key], scan) if key in scans else scan
    copies = {
        (one.scan.visit, one.scan.modality, one.copy): one
        for one in reversed([copy for found in founds for copy in found.copies])
        if one.scan.modality in modalities
    }
    people = Counter(chain.from_iterable({scan.visit.eid for scan in found.scans} for found in founds))
    return FoundSources(
        scans=tuple(scans[key] for key in sorted(scans)),
        copies=tuple(copies[key] for key in sorted(copies)),
        num_shared=sum(number > 1 for number in people.values()),
        tables=_joined(found.tables for found in founds),
        visit_tables=tuple(chain.from_iterable(found.visit_tables for found in founds)),
        sessionless=_joined_sessionless(founds, scans),
        withdrawal_lists=_joined(found.withdrawal_lists for found in founds),
        number_lists=_joined(found.number_lists for found in founds),
        passed_over=_joined(found.passed_over for found in founds),
        num_duplicates=num_duplicates,
        misnamed=tuple(one for found in founds for one in found.misnamed if one.modality in modalities),
        labels={eid: label for found in founds for eid, label in found.labels.items()},
        splits=_joined_splits(founds),
    )


def _joined(paths: Iterable[tuple[Path, ...]]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(paths)))


def _joined_sessionless(founds: Sequence[FoundSources], scans: Iterable[tuple[int, int, str]]) -> dict[int, bool]:
    """Return who has scans outside any session; whether all of theirs are, in all sources together."""
    in_sessions = {eid for eid, instance, _ in scans if instance != FIRST_IMAGING_INSTANCE}
    sessionless: dict[int, bool] = {}
    for eid, are_all in chain.from_iterable(found.sessionless.items() for found in founds):
        sessionless[eid] = sessionless.get(eid, True) and are_all and eid not in in_sessions
    return sessionless


def _joined_splits(founds: Sequence[FoundSources]) -> dict[int, str]:
    settled = {one for found in founds for one in found.splits.items()}
    splits = dict(settled)
    if len(splits) < len(settled):
        raise SourceError(
            f"The sources put {len(settled) - len(splits):,} participants into different splits. Expected each in one "
            "of train, val and test.",
            "Take them out of all but one, or leave one of the sources out.",
        )
    return splits
