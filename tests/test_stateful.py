"""Whatever happens to a study, in whatever order, it holds what it should: a model says what that is.

Ingests, copies, runs, withdrawals, repairs, exports, lost catalogues, damaged files and kills come in random order, in
this process, on images of one number each. A kill is an exception that nothing of ours catches, raised before or after
one of the steps that make something durable. `tests/test_kill.py` and `test_withdraw_kills.py` kill real processes.

``MM_STATEFUL_STEPS`` sets how many steps are taken for long: some hundreds to see that it works, 10,000 to believe it.
"""

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from numpy.typing import NDArray

import mmdata.errors
import mmdata.shard
from catalog.errors import CohortError
from catalog.identity import participant_key, sample_id
from catalog.splits.schemes import choose_scheme
from mmbase.records import ScanCandidate
from mmdata.errors import ScanRejected
from mmdata.execution.pools import LocalPool
from mmdata.ledger.receipts import read_samples, read_scan_receipts
from mmdata.ledger.tombstones import read_retired_rows
from mmdata.readers.scan import LoadedScan, LoadSettings
from mmdata.sources.every import Source
from mmdata.store.array import StoredArray, open_array
from mmdata.study import SplitSettings, Study, StudyConfig, create_study, load_study
from mmdata.volume.settings import ConnectivitySettings, VolumeSettings
from mmstudy.copies import run_copies
from mmstudy.ingest import run_ingest
from mmstudy.outputs import export_samples
from mmstudy.repair import find_damage, run_repair
from mmstudy.runs.begin import begin_run
from mmstudy.runs.plan import plan_run
from mmstudy.withdraw import run_withdrawal
from mmtrain.train import train

STEPS_ASKED_FOR = "MM_STATEFUL_STEPS"
NUM_STEPS = int(os.environ.get(STEPS_ASKED_FOR, "100"))
STEPS_OF_ONE = 50
"""Of one study; then the next begins."""
SIDE, COPIES, MODALITIES = 8, 2, ("t1", "flair")
MISSING = np.iinfo(np.uint16).max
PEOPLE = tuple(range(1_000_001, 1_000_021))
SALT = "salt-of-the-stateful-test"
EID_OF = {sample_id(SALT, eid, 2): eid for eid in PEOPLE}
"""By sample id."""
MODEL = {"inputs": ["t1"], "model": "linear", "side": SIDE, "augment": "none", "device": "cpu", "batch_size": 4}
Scan = tuple[int, str]
"""Participant and modality."""


class Killed(BaseException):
    """Stands for a kill."""


def volume_of(eid: int, modality: str) -> NDArray[np.uint16]:
    """Return what a scan is stored as."""
    rng = np.random.default_rng([eid, MODALITIES.index(modality)])
    return rng.integers(1, MISSING, (SIDE,) * 3, np.uint16)


def load_number(scan: ScanCandidate, _: LoadSettings) -> LoadedScan:
    """Stand in for reading an image: its file holds the participant's number, or something else that is no image."""
    try:
        text = scan.path.read_text()
    except OSError as error:
        raise ScanRejected("unreadable", "the file cannot be read") from error
    if not text.isdecimal():
        raise ScanRejected("truncated", "expected a number")
    return LoadedScan(rows={str(SIDE): volume_of(int(text), scan.modality)}, measures={}, provenance={})


@contextmanager
def quiet(_: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


def agree(_: str) -> bool:
    return True


@contextmanager
def kill_at(step: int | None) -> Iterator[None]:
    """Raise `Killed` at the step of that number: odd ones before something is made durable, even ones after it."""
    with ExitStack() as patches:
        if step is not None:
            left = [step]

            def watched(do: Callable[..., Any]) -> Callable[..., Any]:
                def run(*arguments: Any, **named: Any) -> Any:
                    count()
                    result = do(*arguments, **named)
                    count()
                    return result

                return run

            def count() -> None:
                left[0] -= 1
                if not left[0]:
                    raise Killed

            patches.enter_context(mock.patch.object(os, "fsync", watched(os.fsync)))
            patches.enter_context(mock.patch.object(Path, "replace", watched(Path.replace)))
            patches.enter_context(mock.patch.object(StoredArray, "write_shard", watched(StoredArray.write_shard)))
        with suppress(Killed):
            yield


KILLS = st.none() | st.integers(1, 60)


class StudyMachine(RuleBasedStateMachine):
    """A study, and what must be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="stateful-"))
        self.source, self.root = self.folder / "source", self.folder / "study"
        self.patch = mock.patch.object(mmdata.shard, "load_scan", load_number)
        self.patch.start()
        self.files: dict[Scan, bool] = {}
        """Every file of the source, and whether it can be read."""
        self.stored: set[Scan] = set()
        self.withdrawn: set[int] = set()
        """Whoever's withdrawal has been finished."""
        self.leaving: set[int] = set()
        """Whoever's has begun, and may be finished by any command."""
        self.rows: dict[int, int] = {}
        """Of everyone who ever had one."""
        self.catalogued: set[int] = set()
        """Whom the catalogue knows: one that was lost does not learn again of those who left the source."""
        self.found_damaged: set[Scan] = set()
        """Scans that were found damaged: without their file they are lost."""
        self.is_damaged = False
        self.is_settled = False
        """Whether an ingest came to its end, and nothing was killed or changed since."""

    @property
    def study(self) -> Study:
        return load_study(self.root)

    @initialize(people=st.sets(st.sampled_from(PEOPLE), min_size=15))
    def begin(self, people: set[int]) -> None:
        for modality in MODALITIES:
            (self.source / modality.upper()).mkdir(parents=True)
        config = StudyConfig(
            salt=SALT,
            volumes=VolumeSettings(modalities=MODALITIES, sides=(SIDE,), rows_per_shard=2),
            connectivity=ConnectivitySettings(enabled=False),
            splits=SplitSettings(val=0.2, test=0.2),
            sources=(f"folder:{self.source}",),
            train={"side": SIDE},
        )
        create_study(self.root, config)
        for eid in sorted(people):
            self.add_file(eid, "t1", True)

    def teardown(self) -> None:
        self.patch.stop()
        shutil.rmtree(self.folder)

    @rule(eid=st.sampled_from(PEOPLE), modality=st.sampled_from(MODALITIES), is_good=st.booleans())
    def add_file(self, eid: int, modality: str, is_good: bool) -> None:
        """A scan comes, or a bad one is replaced; a good one stays as it is."""
        if not self.files.get((eid, modality)):
            self.files[eid, modality] = is_good
            path = self.path(eid, modality)
            path.write_text(str(eid) if is_good else f"no image, of try {random.random()}")
            lines = [f"{eid},{50 + eid % 20}\n" for eid in sorted({eid for eid, _ in self.files})]
            (self.source / "labels.csv").write_text("".join(["eid,21003-2.0\n", *lines]))
            self.is_settled = False

    @precondition(lambda self: len(self.files) > 1)
    @rule(data=st.data())
    def remove_file(self, data: st.DataObject) -> None:
        eid, modality = data.draw(st.sampled_from(sorted(self.files)))
        del self.files[eid, modality]
        self.path(eid, modality).unlink()
        self.is_settled = False

    @rule(kill=KILLS)
    def ingest(self, kill: int | None) -> None:
        if not self.files:
            return
        pool = LocalPool(processes=0)
        done = self.run(lambda: run_ingest(self.study, [self.folder_source], [], pool, quiet, agree), kill)
        people = {eid for eid, _ in self.files}
        self.stored |= self.readable & self.scans_on_record()
        self.catalogued |= people & self.in_catalogue().keys()  # at a kill some may have been entered, or all
        if done:
            self.forget_withdrawn()
            self.catalogued |= people - self.withdrawn
            self.stored |= self.readable
            self.found_damaged -= self.readable
            for eid, row in self.rows_on_record().items():
                assert self.rows.setdefault(eid, row) == row
            assert self.rows.keys() >= self.catalogued
            self.is_settled = True

    @rule(people=st.sets(st.sampled_from(PEOPLE), max_size=2), kill=KILLS)
    def withdraw(self, people: set[int], kill: int | None) -> None:
        path = self.folder / "w12345_20260101.csv"
        path.write_text("".join(f"{eid}\n" for eid in people))
        key_of = {eid: participant_key(SALT, eid) for eid in people}
        done = self.run(lambda: run_withdrawal(self.study, [path], quiet, agree), kill)
        if not done:
            text = (self.root / "receipts" / "withdrawn.jsonl").read_text() if self.has_tombstones() else ""
            people = {eid for eid in people if key_of[eid] in text}
        self.leaving |= people
        if done:
            self.forget_withdrawn()

    @precondition(lambda self: self.is_settled and not self.is_damaged)
    @rule(kill=KILLS)
    def make_copies(self, kill: int | None) -> None:
        if any(scan[0] not in self.withdrawn for scan in self.stored):
            pool = LocalPool(processes=0)
            with suppress(mmdata.errors.StudyError):  # nobody of those who are left is for training
                self.run(lambda: run_copies(self.study, COPIES, (SIDE,), pool, "cpu", quiet), kill)

    @precondition(lambda self: self.is_settled and self.stored)
    @rule(data=st.data(), how=st.sampled_from(["flip", "cut", "delete"]))
    def damage(self, data: st.DataObject, how: str) -> None:
        """A byte of an array changes, or a file of it is cut off or gone."""
        files = sorted(path for path in self.root.glob("*.zarr/**/c/**/*") if path.is_file())
        path = data.draw(st.sampled_from(files))
        if how == "delete":
            path.unlink()
        else:
            content = bytearray(path.read_bytes())
            content[data.draw(st.integers(0, len(content) - 1))] ^= 1
            path.write_bytes(content if how == "flip" else content[:-5])
        self.is_damaged = True

    @rule(kill=KILLS)
    def repair(self, kill: int | None) -> None:
        if (self.root / "catalog.duckdb").exists():
            self.found_damaged |= self.damage_found()
            if self.run(lambda: run_repair(self.study, 0, quiet), kill):
                self.stored -= self.found_damaged - self.readable
                self.found_damaged -= self.readable

    @rule()
    def lose_the_catalogue(self) -> None:
        (self.root / "catalog.duckdb").unlink(missing_ok=True)
        self.catalogued = set()
        self.is_settled = False

    @rule(name=st.sampled_from(["qc.html.tmp", "receipts/scans.jsonl.tmp", "scratch/x/input.nii.gz"]))
    def leave_something(self, name: str) -> None:
        """A killed command leaves part of a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a part")

    @precondition(lambda self: self.is_settled and self.catalogued)
    @rule()
    def export(self) -> None:
        export_samples(self.study, self.root / "features.csv", [], overwrite=True)

    @precondition(lambda self: self.is_settled and not self.is_damaged)
    @rule()
    def train(self) -> None:
        """A run is begun and finished, unless a split has nobody."""
        study = self.study
        try:
            plan = plan_run(study, ["age"], MODEL, scheme=choose_scheme(None, None), audited=False)
        except CohortError:
            return
        run = begin_run(study, plan)
        train(run, study.layout, plan.config)

    @precondition(lambda self: self.files)
    @rule()
    def settle(self) -> None:
        """Whatever has happened, these commands mend it; then all must be there."""
        for _ in range(2):  # damage may be in the way of the first ingest
            self.repair(None)
            self.ingest(None)
        self.repair(None)
        assert self.is_settled
        self.is_damaged = False
        self.withdraw(set(), None)
        self.check_catalogue()
        assert self.damage_found() <= self.found_damaged  # lost with their files, and told again
        expected = {(self.rows[eid], modality) for eid, modality in self.stored}
        held = {(row, modality) for modality in MODALITIES for row in self.rows_in(modality)}
        gone = {self.rows[eid] for eid in self.withdrawn & self.rows.keys()}
        assert held >= expected  # more: what a kill kept from being put on record
        assert gone.isdisjoint(row for row, _ in held)
        assert not (self.root / "scratch").exists()
        for cohort in self.root.glob("runs/*/cohort.parquet"):
            assert gone.isdisjoint(pl.read_parquet(cohort)["row"])

    @invariant()
    def nobody_is_wronged(self) -> None:
        """What lies in a row is its owner's, and nothing is left of those who have withdrawn."""
        owners = {row: eid for eid, row in self.rows_on_record().items()}
        if self.is_settled:
            assert {eid: self.rows[eid] for eid in owners.values()} == {eid: row for row, eid in owners.items()}
            for modality in MODALITIES:
                for row, volume in self.rows_in(modality).items():
                    assert (volume == volume_of(owners[row], modality)).all()
            assert read_retired_rows(self.root / "receipts").isdisjoint(owners)
        names = [name.encode() for name, eid in EID_OF.items() if eid in self.withdrawn]
        for path in self.root.rglob("*") if names else ():
            if path.is_file() and path.suffix in (".json", ".jsonl", ".csv", ".parquet", ".duckdb", ".html"):
                content = path.read_bytes()
                assert not [name for name in names if name in content]

    def damage_found(self) -> set[Scan]:
        """Return the scans that are found damaged."""
        return {(EID_OF[row.sample_id], row.modality) for row in find_damage(self.study, 0, quiet) if not row.copy}

    def forget_withdrawn(self) -> None:
        self.withdrawn |= self.leaving
        self.catalogued -= self.withdrawn
        for scans in (self.stored, self.found_damaged):
            scans -= {scan for scan in scans if scan[0] in self.withdrawn}

    @property
    def readable(self) -> set[Scan]:
        """Scans that an ingest stores if they are not."""
        return {scan for scan, is_good in self.files.items() if is_good and scan[0] not in self.withdrawn}

    def in_catalogue(self) -> dict[int, int]:
        """Return the rows of those whom the catalogue knows."""
        if not (self.root / "catalog.duckdb").exists():
            return {}
        with duckdb.connect(str(self.root / "catalog.duckdb"), read_only=True) as catalog:
            return dict(catalog.execute("SELECT eid, row FROM samples").fetchall())

    def check_catalogue(self) -> None:
        with duckdb.connect(str(self.root / "catalog.duckdb"), read_only=True) as catalog:
            scans = "SELECT eid, modality FROM scans JOIN samples USING (sample_id) WHERE status = 'stored'"
            stored = set(catalog.execute(scans).fetchall())
        assert self.in_catalogue() == {eid: self.rows[eid] for eid in self.catalogued}
        assert stored == {scan for scan in self.stored if scan[0] in self.catalogued}

    def run(self, command: Callable[[], object], kill: int | None) -> bool:
        """Run a command, killed at a step; return whether it came to its end. Only damage may be in its way."""
        finished = []
        with kill_at(kill):
            try:
                command()
                finished.append(True)
            except mmdata.errors.StoreError:
                assert self.is_damaged
        self.is_settled = self.is_settled and bool(finished)
        return bool(finished)

    @property
    def folder_source(self) -> Source:
        return Source(kind="folder", path=self.source)

    def path(self, eid: int, modality: str) -> Path:
        return self.source / modality.upper() / f"{eid}_{modality}.nii.gz"

    def has_tombstones(self) -> bool:
        return (self.root / "receipts" / "withdrawn.jsonl").exists()

    def rows_on_record(self) -> dict[int, int]:
        """Return the row of everyone who has a receipt."""
        return {EID_OF[name]: sample.row for name, sample in read_samples(self.root / "receipts").items()}

    def scans_on_record(self) -> set[Scan]:
        """Return the scans whose receipts call them stored."""
        receipts = read_scan_receipts(self.root / "receipts")
        return {(EID_OF[name], modality) for (name, modality), one in receipts.items() if one.status == "stored"}

    def rows_in(self, modality: str) -> dict[int, NDArray[np.uint16]]:
        """Return every row of an array that holds something and can be read."""
        path = self.root / "volumes.zarr" / modality / str(SIDE)
        if not path.exists():
            return {}
        handle = open_array(path).handle
        volumes = {}
        for row in range(handle.shape[0]):
            with suppress(ValueError):
                volumes[row] = np.asarray(handle[row].read().result())
        return {row: volume for row, volume in volumes.items() if not (volume == MISSING).all()}


@seed(1)
class OtherSteps(StudyMachine):
    """Takes other steps than those without the mark."""


def run_steps(num_steps: int, machine: type[StudyMachine], *, derandomize: bool) -> None:
    """Take so many steps on studies of `STEPS_OF_ONE` each; the steps that failed are printed as they were taken."""
    of_machine = settings(
        max_examples=num_steps // STEPS_OF_ONE,
        stateful_step_count=STEPS_OF_ONE,
        deadline=None,
        database=None,
        derandomize=derandomize,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=of_machine)


def test_a_study_holds_what_it_should_whatever_happens_to_it() -> None:
    run_steps(2 * STEPS_OF_ONE, StudyMachine, derandomize=True)


@pytest.mark.slow  # the same with many steps, other ones each time where they are asked for
def test_a_study_holds_what_it_should_whatever_happens_to_it_for_long() -> None:
    asked_for = STEPS_ASKED_FOR in os.environ
    run_steps(NUM_STEPS, StudyMachine if asked_for else OtherSteps, derandomize=not asked_for)
