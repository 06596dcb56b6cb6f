import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalog.audit.findings import Finding
from catalog.database import open_catalog
from catalog.errors import UnknownTargetError
from mmdata.ledger.receipt_kinds import CopyReceipt, WithdrawalReceipt
from mmdata.ledger.receipts import COPY_RECEIPTS, REMOVED, WITHDRAWAL_RECEIPTS, append_receipts
from mmdata.store.array import open_array
from mmdata.study import Study, StudyConfig, load_study
from mmdata.volume.settings import VolumeSettings
from mmstudy.audit import _compared_array, findings_for_run, run_audit
from mmstudy.dictionary import study_dictionary


@contextmanager
def silent(_: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


@pytest.fixture
def own_study(study: Path, tmp_path: Path) -> Study:
    """A copy of the study that a test may spoil."""
    return load_study(Path(shutil.copytree(study, tmp_path / "study")))


def alarms(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(f.code, f.severity, f.subject) for f in findings if f.severity != "note"]


def ask(study: Study, query: str) -> list[tuple[Any, ...]]:
    with open_catalog(study.layout.catalog) as catalog:
        return catalog.execute(query).fetchall()


def rows_of(study: Study, split: str, modality: str = "t1") -> list[int]:
    """Return the rows of stored scans of participants with one visit."""
    found = ask(
        study,
        "SELECT row FROM samples JOIN splits USING (sample_id) JOIN scans USING (sample_id) "
        f"WHERE split = '{split}' AND modality = '{modality}' AND status = 'stored' "
        "QUALIFY count(*) OVER (PARTITION BY participant_key) = 1 ORDER BY row",
    )
    return [row for (row,) in found]


def copy_volume(study: Study, row: int, other_row: int) -> None:
    """Put a scan, saved in 8 bits and with a little noise, in place of another in every array."""
    for side in study.config.volumes.sides:
        array = open_array(study.layout.volume_array("t1", side))
        scan = array.read_rows([(row,)])[0].astype(float)
        noise = np.random.default_rng(0).normal(0, 0.01 * 65535, scan.shape)
        spoilt = np.clip(np.round(scan / 257) * 257 + (scan > 0) * noise, 0, 65534).astype(np.uint16)
        start = other_row - other_row % array.rows_per_shard
        shard = array.read_shard(start)
        shard[other_row - start] = spoilt
        array.write_shard(start, shard)


def test_a_release_as_it_is_raises_no_alarm(own_study: Study) -> None:
    assert alarms(run_audit(own_study, silent)) == []


@pytest.mark.parametrize(("other_split", "severity"), [("test", "critical"), ("train", "warning")])
def test_a_copied_volume_is_found_and_remembered(other_split: str, severity: str, own_study: Study) -> None:
    row, other_row = rows_of(own_study, "train")[0], rows_of(own_study, other_split)[-1]
    copy_volume(own_study, row, other_row)
    findings = run_audit(own_study, silent)
    assert alarms(findings) == [("similar-scans", severity, "t1")]
    [found] = [finding for finding in findings if finding.code == "similar-scans"]
    assert (found.num_samples, found.numbers["pairs"]) == (2, 1)
    names = {name for (name,) in ask(own_study, f"SELECT sample_id FROM samples WHERE row IN ({row}, {other_row})")}
    assert set(str(found.numbers["example"]).split(" and ")) == names
    dictionary = study_dictionary(own_study)
    with open_catalog(own_study.layout.catalog) as catalog:
        run = {"target": "age", "shown": ["sex"]}
        with_t1 = findings_for_run(own_study, catalog, dictionary, modalities=["t1", "flair"], **run)
        without_t1 = findings_for_run(own_study, catalog, dictionary, modalities=["flair"], **run)
    assert ("similar-scans", severity, "t1") in alarms(with_t1)
    assert "similar-scans" not in {finding.code for finding in without_t1}


def test_what_was_mended_is_forgotten_by_the_next_audit_that_reads(study: Path, own_study: Study) -> None:
    copy_volume(own_study, rows_of(own_study, "train")[0], rows_of(own_study, "test")[-1])
    assert alarms(run_audit(own_study, silent))
    for path in (study / "volumes.zarr" / "t1").rglob("*"):
        if path.is_file():
            shutil.copyfile(path, own_study.layout.root / path.relative_to(study))
    assert alarms(run_audit(own_study, silent, compare=False))
    assert alarms(run_audit(own_study, silent)) == []


def test_copies_of_held_out_samples_are_critical(own_study: Study) -> None:
    rows = [rows_of(own_study, split)[0] for split in ("val", "test")]
    receipts = [CopyReceipt(modality="t1", side=32, copy=copy, rows=rows) for copy in (1, 2)]
    append_receipts(own_study.layout.receipts / COPY_RECEIPTS, receipts)
    findings = run_audit(own_study, silent, compare=False)
    assert alarms(findings) == [("copies-of-held-out-samples", "critical", "t1")]
    assert findings[0].numbers == {"copies": 4, "samples": 2}
    assert findings[0].num_samples == 2
    of_flair = run_audit(own_study, silent, target="age", modalities=["flair"], compare=False)
    assert "copies-of-held-out-samples" not in {finding.code for finding in of_flair}


def test_a_withdrawal_that_is_not_finished_is_critical(own_study: Study) -> None:
    [(key,)] = ask(own_study, "SELECT participant_key FROM samples WHERE row = 0")
    path = own_study.layout.receipts / WITHDRAWAL_RECEIPTS
    tombstone = WithdrawalReceipt(participant_key=key)
    append_receipts(path, [tombstone])
    findings = run_audit(own_study, silent, compare=False)
    assert alarms(findings) == [("withdrawn-participants", "critical", "participants")]
    assert findings[0].numbers["participants"] == 1
    append_receipts(path, [replace(tombstone, status=REMOVED)])
    assert alarms(run_audit(own_study, silent, compare=False)) == []
    with open_catalog(own_study.layout.catalog, writable=True) as catalog:
        catalog.execute("INSERT INTO withdrawn VALUES (?)", [key])
    assert alarms(run_audit(own_study, silent, compare=False)) == [
        ("withdrawn-participants", "critical", "participants")
    ]


def test_progress_counts_every_stored_scan(own_study: Study) -> None:
    told: list[tuple[int, int]] = []

    @contextmanager
    def listen(what: str) -> Iterator[Callable[[int, int], None]]:
        assert what == "scans"
        yield lambda done, total: told.append((done, total))

    run_audit(own_study, listen)
    [(num_stored,)] = ask(own_study, "SELECT count(*) FROM scans WHERE status = 'stored'")
    assert told[-1] == (num_stored, num_stored)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_an_unknown_target_is_refused_before_anything_is_read(study: Path) -> None:
    def refuse(what: str) -> Any:
        raise AssertionError(what)

    with pytest.raises(UnknownTargetError):
        run_audit(load_study(study), refuse, target="agee")


@pytest.mark.parametrize(("sides", "read"), [((128, 64, 32), 64), ((64, 16), 64), ((32, 16), 32), ((192, 96), 96)])
def test_the_coarsest_level_that_shows_a_copy_is_read(sides: tuple[int, ...], read: int, study: Path) -> None:
    config = StudyConfig(salt="s" * 16, volumes=VolumeSettings(sides=sides))
    assert _compared_array(Study(load_study(study).layout, config), "t1").name == str(read)
