"""What is done with each of two commits, and what comes of it.

Both ingest one release, which the commit before wrote, each into a study of its own; augment it; and train the same
runs. Then the commit after goes on with a copy of the other's study, in which a run was stopped within an epoch.
"""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.compare.command_line import CommandFailed, CommandLine
from benchmarks.compare.differences import Check, Tree, check
from benchmarks.compare.results import (
    hash_files,
    is_advice,
    read_query,
    read_run,
    read_settings,
    without_varying,
)

PARTICIPANTS = 32
PRECISION = "float32"
"""What users train in; on one thread it is as repeatable as float64, and shows more."""
COPIES = 2
SETTINGS = (
    "salt=salt-of-the-comparison",
    "volumes.sides=[64,32]",
    "volumes.rows_per_shard=8",
    "augment.sides=[32]",
    "splits.val=0.25",
    "splits.test=0.25",
    "train.side=32",
)
EVERY_RUN = (
    *("--device", "cpu", "--precision", PRECISION, "--channels", "4,8", "--epochs", 2, "--batch-size", 6),
    *("--learning-rate", "1e-3", "--seed", 7),
)
VOLUMES = ("--target", "age", *EVERY_RUN)
MIXED = ("--inputs", "t1,connectivity,metadata", "--metadata-block", "disease", "--metadata-block", "constitutional")
RUNS = {
    "age, 1 rank": VOLUMES,
    "age, 2 ranks": (*VOLUMES, "--gpus", 2),
    "sex, mixed inputs": ("--target", "sex", *MIXED, *EVERY_RUN),
    "age, on-device": (*VOLUMES, "--inputs", "t1", "--augment", "on-device"),
}
"""Runs that are trained without a stop, by name."""
WHOLE = "age, 1 rank"
"""The run that the stopped one would have been."""
STOPPED = "age, stopped and resumed"
VIEWS = ("samples", "splits", "scans", "features")
"""The public views of the catalogue whose rows are compared."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one commit made of the release."""

    stores: dict[str, dict[str, str]]
    """Store to file to hash."""
    trees: dict[str, Tree]
    """Every other result by name."""
    status_when_stopped: Tree
    """While the stopped run was not resumed."""
    status_when_resumed: Tree
    """As soon as it was."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Handover:
    """A copy of a study in which a run was stopped, for another commit to go on with."""

    study: Path
    run_id: str


def compare_commits(before: CommandLine, after: CommandLine, folder: Path) -> list[Check]:
    """Do everything with both commits, side by side, and compare what came of it.

    Raises
    ------
    CommandFailed
        A command failed; nothing can be compared.
    """
    release, other_release = folder / "release", folder / "release-of-after"
    _both(lambda: synthesise(before, release), lambda: synthesise(after, other_release))
    checks = [check("files of mm synth", hash_files(release), hash_files(other_release), may_add=False)]
    shutil.rmtree(other_release)
    handed_over = folder / "study-of-before-for-after"
    (expected, handover), (found, _) = _both(
        lambda: carry_out(before, release, folder / "study-of-before", handed_over),
        lambda: carry_out(after, release, folder / "study-of-after", folder / "study-of-after-stopped"),
    )
    checks += [
        check(f"files of {store}", files, found.stores[store], may_add=False)
        for store, files in expected.stores.items()
    ]
    checks += [check(name, tree, found.trees[name]) for name, tree in expected.trees.items()]
    checks += [
        check(f"resumed as uninterrupted, after: {part}", found.trees[f"{WHOLE}: {part}"], of_resumed)
        for part, of_resumed in _parts(found, STOPPED).items()
        if part != "cohort"
    ]
    return [*checks, *take_over(after, handover, expected)]


def synthesise(mm: CommandLine, release: Path) -> None:
    """Write a small release."""
    mm.run("synth", "ukb", release, "--participants", PARTICIPANTS, "--voxel-mm", 4, "--workers", 1)


def carry_out(mm: CommandLine, release: Path, study: Path, stopped: Path) -> tuple[Outcome, Handover]:
    """Make a study of the release and train in it; leave a copy as it was when a run was stopped."""
    make_study(mm, release, study)
    runs = {WHOLE: mm.train(study, *RUNS[WHOLE]), STOPPED: mm.train_and_stop(study, *RUNS[WHOLE])}
    handover = Handover(study=Path(shutil.copytree(study, stopped)), run_id=runs[STOPPED].name)
    status_when_stopped = read_status(mm, study)
    resume(mm, study, handover.run_id)
    status_when_resumed = read_status(mm, study)
    runs |= {name: mm.train(study, *words) for name, words in RUNS.items() if name not in runs}
    outcome = Outcome(
        stores={store: hash_files(study / store) for store in ("volumes.zarr", "augmented.zarr")},
        trees={
            "study.toml": read_settings(study),
            "mm status": read_status(mm, study),
            **{f"view {view}": read_view(mm, study, view) for view in VIEWS},
            **{f"{name}: {part}": tree for name, run in runs.items() for part, tree in read_run(run).items()},
        },
        status_when_stopped=status_when_stopped,
        status_when_resumed=status_when_resumed,
    )
    return outcome, handover


def make_study(mm: CommandLine, release: Path, study: Path) -> None:
    """Make a study of a release, with copies."""
    mm.run("--study", study, "init", "--source", release, *(word for one in SETTINGS for word in ("--set", one)))
    mm.run("--study", study, "ingest", "ukb", "--workers", 1)
    mm.run("--study", study, "precompute-augs", "--copies", COPIES, "--device", "cpu", "--workers", 0)


def take_over(mm: CommandLine, handover: Handover, expected: Outcome) -> list[Check]:
    """Go on with a study of the commit before; compare with what that commit made of it itself."""
    checks = [_check_first_status(mm, handover.study, expected.status_when_stopped)]
    resume(mm, handover.study, handover.run_id)
    found = read_run(handover.study / "runs" / handover.run_id)
    checks += [
        check(f"taken over by after: {part}", tree, found[part]) for part, tree in _parts(expected, STOPPED).items()
    ]
    status = read_status(mm, handover.study)
    return [*checks, check("taken over by after: mm status, resumed", expected.status_when_resumed, status)]


def resume(mm: CommandLine, study: Path, run_id: str) -> None:
    """Train a stopped run to its end."""
    mm.run("--study", study, "train", "--resume", run_id, "--device", "cpu")


def read_status(mm: CommandLine, study: Path) -> Tree:
    """Return what `mm status --json` says, without paths and run ids."""
    return without_varying(mm.run_json("--study", study, "status"))


def read_view(mm: CommandLine, study: Path, view: str) -> Tree:
    """Return the rows of a public view of the catalogue, sorted."""
    return read_query(mm.run_json("--study", study, "query", f"SELECT * FROM {view} ORDER BY ALL"))


def _check_first_status(mm: CommandLine, study: Path, expected: Tree) -> Check:
    """Compare the status of a study of the commit before, unless the catalogue has to be brought up to date first."""
    name = "taken over by after: mm status, stopped"
    try:
        return check(name, expected, read_status(mm, study))
    except CommandFailed as failure:
        if not is_advice(failure.messages):
            raise
        return Check(name=name, num_values=0, note=failure.messages.strip())


def _parts(outcome: Outcome, run: str) -> dict[str, Tree]:
    """Return the results of one run by part."""
    prefix = f"{run}: "
    return {name.removeprefix(prefix): tree for name, tree in outcome.trees.items() if name.startswith(prefix)}


def _both(one: Callable[[], _Result], other: Callable[[], _Result]) -> tuple[_Result, _Result]:
    """Call two functions at the same time; wait for both."""
    with ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(one), threads.submit(other)]
    return futures[0].result(), futures[1].result()
