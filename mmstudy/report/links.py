"""What the page of a report can link to: the pages of runs and the bundles of their models, where they are there.

An address is relative to the page. A page in the study links to what lies in the study, and a page elsewhere to the
bundles beside it: anything farther would name folders of this machine, and is not there once the page is sent. A bundle
is of a run when its weights are the run's.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote as shell_quote
from typing import Any
from urllib.parse import quote

from mmbase.checksums import digest_of, recorded_digests
from mmdata.store.schema import StudyLayout
from mmtrain.bundle import BundleDirectory
from mmtrain.run import RunDirectory


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLinks:
    """Addresses of what was made of a run, as the page sees them."""

    page: str | None = None
    """None: there is none that the page can link to."""
    bundle: str | None = None
    """Of its folder; None likewise."""


def find_links(layout: StudyLayout, page: Path, runs: Collection[RunDirectory]) -> dict[str, RunLinks]:
    """Return what can be linked to of each run, by its name.

    Parameters
    ----------
    page
        Where the page is to lie.
    runs
        Those that can be reached.
    """
    root, folder = layout.root.resolve(), page.resolve().parent
    bundles = {digest_of(bundle.model): f"{quote(bundle.path.name)}/" for bundle in _bundles_in(folder)}
    if not folder.is_relative_to(root):
        return {run.run_id: RunLinks(bundle=_bundle_of(run, bundles)) for run in runs}

    def address(path: Path) -> str:
        return quote(Path(os.path.relpath(root / path.relative_to(layout.root), folder)).as_posix())

    bundles |= {digest_of(bundle.model): f"{address(bundle.path)}/" for bundle in _bundles_in(layout.models)}
    return {
        run.run_id: RunLinks(
            page=address(run.report) if run.path.is_relative_to(layout.root) and run.report.is_file() else None,
            bundle=_bundle_of(run, bundles),
        )
        for run in runs
    }


def run_columns(run_ids: Collection[str], links: Mapping[str, RunLinks]) -> dict[str, list[Any]]:
    """Return a row for each run: what the page links to, and the commands that make it."""
    found = [links.get(run_id, RunLinks()) for run_id in run_ids]
    return {
        "name": list(run_ids),
        "page": [of.page for of in found],
        "page_command": [f"mm page {shell_quote(run_id)}" for run_id in run_ids],
        "bundle": [of.bundle for of in found],
        "bundle_command": [f"mm export-model {shell_quote(run_id)} FOLDER" for run_id in run_ids],
    }


def _bundles_in(folder: Path) -> Iterator[BundleDirectory]:
    """Yield the bundles in a folder that can be read; a run has files of the same names, but no contract."""
    for path in sorted(folder.glob("*")):
        bundle = BundleDirectory(path)
        if all(os.access(file, os.R_OK) for file in (bundle.contract, bundle.model)) and _has_plain_name(path):
            yield bundle


def _has_plain_name(path: Path) -> bool:
    """Return whether a name can stand in an address: a file system also has names that are no text."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bundle_of(run: RunDirectory, bundles: Mapping[str, str]) -> str | None:
    """Return the address of a run's bundle; weights are read only of a run that had those of one at some time."""
    if bundles.keys() & recorded_digests(run.model) and run.model.is_file():
        return bundles.get(digest_of(run.model))
    return None
