"""Which folders a study is made from."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mmdata.errors import DataError
from mmdata.schema import StudyLayout
from mmdata.sources.every import Source, SourceKind, parse_source
from mmdata.study import Study, StudyConfig, load_study, with_remedies


def study_with_source(
    root: Path, kind: SourceKind, folder: Path | None, remedies: Mapping[str, str]
) -> tuple[Study, list[Source]]:
    """Return the study in a directory, or what it would be, with a source and settings added, and all its sources.

    Nothing is written.

    Parameters
    ----------
    folder
        What to add; left out: the study's own sources are enough.
    remedies
        Settings of the section ``ingest`` to change.

    Raises
    ------
    DataError
        No source is given and none set.
    """
    layout = StudyLayout(root.resolve())
    study = load_study(root) if layout.config.exists() else Study(layout, StudyConfig())
    study = with_remedies(study, remedies)
    sources = parse_sources(study)
    added = Source(kind=kind, path=folder.expanduser().resolve()) if folder else None
    if added and added not in sources:
        sources.append(added)
    if not sources:
        raise DataError(
            f"No source is set. Give the folder to read: mm ingest {kind} FOLDER, or set sources in study.toml."
        )
    return Study(layout, replace(study.config, sources=tuple(source.entry for source in sources))), sources


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
