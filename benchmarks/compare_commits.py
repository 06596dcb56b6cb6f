"""Show that two commits compute the same: ``python -m benchmarks.compare_commits BEFORE AFTER``.

BEFORE and AFTER are revisions of git; ``.`` is the working tree. Both are exported to temporary folders and used by
their command lines alone, so that anything behind these may be changed. With each, a small synthetic release becomes a
study with augmented copies and several runs; one of them is stopped within an epoch and resumed. Compared to the last
bit are the bytes of the stores, losses, metrics, predictions, weights, cohorts and the catalogue, and what AFTER makes
of BEFORE's study and of a run that was begun there.

The exit status is 0 if nothing differs but what --allow names, 1 if something does or a command failed. It takes about
five minutes of processor time, shared by two cores; --keep DIR keeps what was made, 1 GB.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.compare.command_line import CommandFailed, CommandLine
from benchmarks.compare.differences import Check
from benchmarks.compare.scenario import COPIES, PARTICIPANTS, PRECISION, compare_commits
from benchmarks.compare.source import export_source, find_repository

SHOWN_DIFFERENCES = 2
"""Of each check, on the screen; the JSON file has all."""
PIPED_WIDTH = 120


class Spent(NamedTuple):
    """What the comparison took."""

    seconds: int
    processor_seconds: int
    """Of all commands together: other programs on the same cores change it less."""


def main(words: Sequence[str] | None = None) -> int:
    """Compare two commits, print a table, and return the exit status."""
    options = parse_options(words)
    repository, started = find_repository(Path.cwd()), time.monotonic()
    with _working_folder(options.keep) as folder:
        before, after = (
            CommandLine(label=label, source=folder / f"source-of-{label}", python=options.python)
            for label in ("before", "after")
        )
        described = {
            "before": export_source(repository, options.before, before.source),
            "after": export_source(repository, options.after, after.source),
        }
        try:
            before.require_own_code()
            after.require_own_code()
            checks = compare_commits(before, after, folder)
        except CommandFailed as failure:
            print(f"error: {failure}", file=sys.stderr)
            return 1
    checks = [replace(check, may_differ=is_allowed(check.name, options.allow)) for check in checks]
    spent = Spent(round(time.monotonic() - started), round(sum(os.times()[2:4])))
    report(checks, described, spent)
    if options.json:
        options.json.write_text(json.dumps(to_json(checks, described, spent), indent=2) + "\n", encoding="utf-8")
    return int(any(check.fails for check in checks))


def is_allowed(name: str, allowed: Sequence[str]) -> bool:
    """Return whether a result may differ: its name is given, or what it is of every run.

    >>> is_allowed("age, 2 ranks: model card", ["model card"])
    True
    """
    return any(name == one or name.endswith(f": {one}") for one in allowed)


def parse_options(words: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare_commits", description="Compare two commits.")
    parser.add_argument("before", metavar="BEFORE", help="revision of git, or . for the working tree")
    parser.add_argument("after", metavar="AFTER", help="revision of git, or . for the working tree")
    parser.add_argument(
        "--python", type=Path, default=Path(sys.executable), help="interpreter with the packages that both need"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="new folder for studies and runs, which are kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found to this file")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="RESULT",
        help="a result of the table that is meant to differ, of all runs with what is behind the colon; repeatable",
    )
    options = parser.parse_args(words)
    options.python = options.python.absolute()  # not resolved: a virtual environment is found by its link
    if options.keep and options.keep.exists():
        parser.error(f"--keep: {options.keep} exists already")
    return options


def report(checks: Sequence[Check], described: dict[str, str], spent: Spent) -> None:
    """Print a table of all checks, then what differs."""
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    table = Table("result", "values", "verdict", "largest relative difference", box=None, pad_edge=False)
    for check in checks:
        relative = "" if check.largest_relative is None else f"{check.largest_relative:.3g}"
        table.add_row(check.name, str(check.num_values), _verdict(check), relative)
    console.print(table)
    for check in checks:
        for one in check.differences[:SHOWN_DIFFERENCES]:
            console.print(f"{check.name}: {one.where} {one.kind}: {one.before} | {one.after}", markup=False)
        if len(check.differences) > SHOWN_DIFFERENCES:
            console.print(f"{check.name}: and {len(check.differences) - SHOWN_DIFFERENCES} more", markup=False)
        if check.added:
            console.print(f"{check.name}: added {', '.join(check.added[:SHOWN_DIFFERENCES])}", markup=False)
        if check.note:
            console.print(f"{check.name}: {check.note}", markup=False)
    judged = [check for check in checks if not (check.may_differ and check.differences)]
    failing = sum(check.fails for check in judged)
    verdict = f"{failing} of {len(judged)} results differ" if failing else f"all {len(judged)} results are the same"
    if len(judged) < len(checks):
        verdict += f" beside {len(checks) - len(judged)} that were allowed to differ"
    for label, commit in described.items():
        console.print(f"{label:6} {commit}", markup=False)
    console.print(f"{verdict}; {PRECISION}, {spent.seconds} s, {spent.processor_seconds} s of processors")


def to_json(checks: Sequence[Check], described: dict[str, str], spent: Spent) -> dict[str, Any]:
    """Return everything that was found as plain values."""
    return {
        **described,
        "is_same": not any(check.fails for check in checks),
        **spent._asdict(),
        "precision": PRECISION,
        "participants": PARTICIPANTS,
        "copies": COPIES,
        "checks": [asdict(check) for check in checks],
    }


def _verdict(check: Check) -> str:
    if check.differences:
        return f"{len(check.differences)} DIFFER" if check.fails else f"{len(check.differences)} differ, allowed"
    if not check.num_values:
        return "not compared"
    return f"same, {len(check.added)} added" if check.added else "same"


@contextmanager
def _working_folder(kept: Path | None) -> Iterator[Path]:
    """Make a folder that is removed afterwards, unless it is to be kept."""
    if kept:
        kept.mkdir(parents=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="mm-compare-") as folder:
        yield Path(folder).resolve()


if __name__ == "__main__":
    sys.exit(main())
