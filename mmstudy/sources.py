"""Which folders and tables a study is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mmdata.errors import DataError
from mmdata.sources.every import Source, SourceKind, parse_source
from mmdata.store.schema import StudyLayout
from mmdata.study import Study, StudyConfig, with_changes
from mmstudy.settings import load_study


def study_with_source(
    root: Path,
    kind: SourceKind,
    folder: Path | None,
    *,
    tables: Sequence[Path] = (),
    changes: Mapping[str, Mapping[str, str]],
) -> tuple[Study, list[Source]]:
    """Return the study in a directory, or what it would be, with a source and settings added, and all its sources.

    Nothing is written.

    Parameters
    ----------
    folder
        What to add; left out: the study's own sources are enough.
    tables
        Tables to add to those that every ingest reads.
    changes
        Section to settings to change.

    Raises
    ------
    DataError
        No source is given and none set, or a table does not exist.
    """
    layout = StudyLayout(root.resolve())
    study = load_study(root) if layout.config.exists() else Study(layout, StudyConfig())
    study = with_changes(study, changes)
    if missing := [table for table in tables if not table.is_file()]:
        raise DataError(
            f"The table {missing[0]} is not a file.", "Give a csv, tsv or txt file whose first column is eid."
        )
    added_tables = [str(table.expanduser().resolve()) for table in tables]
    sources = parse_sources(study)
    added = Source(kind=kind, path=folder.expanduser().resolve()) if folder else None
    if added and added not in sources:
        sources.append(added)
    if not sources:
        raise DataError(
            "No source is set.", f"Give the folder to read: mm ingest {kind} FOLDER, or set sources in study.toml."
        )
    config = replace(
        study.config,
        sources=tuple(source.entry for source in sources),
        tables=tuple(dict.fromkeys([*study.config.tables, *added_tables])),
    )
    return Study(layout, config), sources


def parse_sources(study: Study) -> list[Source]:
    """Return the sources in a study's settings."""
    return [parse_source(entry) for entry in study.config.sources]


def resolve_entry(entry: str) -> str:
    """Return an entry of a study's sources with its folder as an absolute path.

    Raises
    ------
    SourceError
        The entry is of no known kind.
    """
    source = parse_source(entry)
    return Source(kind=source.kind, path=source.path.resolve()).entry
