"""What commands write where the user says is on record, and a withdrawal finds it."""

import errno
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import mmstudy.on_record
import mmstudy.outputs
from catalog.errors import CatalogError
from mmbase.files import draft_of
from mmdata.errors import StudyError
from mmdata.ledger.receipts import read_outputs
from mmdata.ledger.tombstones import read_removals, record_withdrawals
from mmdata.study import Study, load_study
from mmstudy.copies import write_preview
from mmstudy.outputs import export_samples, file_of_stdout, keep_if_present, record_output
from mmstudy.quality import write_quality_page
from mmstudy.withdraw import preview_withdrawal
from tests.conftest import RunMm
from tests.mmstudy.test_withdraw import copy_of, quiet, somebody, withdraw, write_list


@pytest.fixture
def copied(study: Path, tmp_path: Path) -> Study:
    """A copy of the study."""
    return copy_of(study, tmp_path / "study")


def write_page(study: Study, path: Path) -> None:
    write_quality_page(study, path, quiet, max_unusual=1, max_volumes=2)


def test_outputs_in_the_study_go_with_a_withdrawal_and_others_are_named(copied: Study, tmp_path: Path) -> None:
    root, outside = copied.layout.root, tmp_path / "outside"
    outside.mkdir()
    (root / "pages").mkdir()
    inside = [root / "pages" / "qc.html", root / "features.csv", root / "preview.png"]
    elsewhere = [outside / "qc.html", outside / "features.csv", outside / "preview.png"]
    for page, table, picture in (inside, elsewhere):
        write_page(copied, page)
        export_samples(copied, table, ["age"], overwrite=False)
        write_preview(copied, 32, picture, overwrite=False)
    mine = root / "notes.csv"
    mine.write_text("of the user")
    eid, _, _ = somebody(copied)
    planned = preview_withdrawal(copied, [write_list(copied, eid)], quiet)
    assert all(path.exists() for path in (*inside, *elsewhere))
    result = withdraw(copied, eid)
    assert result == planned
    assert not [path for path in inside if path.exists()]
    assert mine.exists() and all(path.exists() for path in elsewhere)
    assert {result.places[name] for name in ("pages/qc.html", "features.csv", "preview.png")} == {1}
    assert result.elsewhere == tuple(map(str, elsewhere))
    *_, removal = read_removals(copied.layout.receipts).values()
    assert removal.elsewhere == list(map(str, elsewhere))


def test_what_is_gone_is_not_named_and_what_cannot_be_seen_is(copied: Study, tmp_path: Path) -> None:
    for folder in ("kept", "unmounted"):
        (tmp_path / folder).mkdir()
        export_samples(copied, tmp_path / folder / "features.csv", ["age"], overwrite=False)
    (tmp_path / "kept" / "features.csv").unlink()
    shutil.rmtree(tmp_path / "unmounted")
    assert withdraw(copied, somebody(copied)[0]).elsewhere == (str(tmp_path / "unmounted" / "features.csv"),)


def test_a_study_that_was_moved_still_finds_its_outputs(copied: Study, tmp_path: Path) -> None:
    export_samples(copied, copied.layout.root / "features.csv", ["age"], overwrite=False)
    moved = load_study(copied.layout.root.rename(tmp_path / "moved"))
    withdraw(moved, somebody(moved)[0])
    assert not (tmp_path / "moved" / "features.csv").exists()


def test_a_stranger_who_withdraws_costs_nobody_an_export(copied: Study) -> None:
    export_samples(copied, copied.layout.root / "features.csv", ["age"], overwrite=False)
    assert withdraw(copied, 9_999_999).elsewhere == ()
    assert (copied.layout.root / "features.csv").exists()


def test_half_a_file_of_a_killed_command_is_on_record_too(copied: Study, tmp_path: Path) -> None:
    paths = copied.layout.root / "qc2.html", tmp_path / "qc.html"
    for path in paths:
        record_output(copied.layout, path)
        draft_of(path).write_text("half a page")
    result = withdraw(copied, somebody(copied)[0])
    assert not draft_of(paths[0]).exists()
    assert result.elsewhere == (str(draft_of(paths[1])),)


def test_a_link_is_replaced_and_what_it_leads_to_stays(copied: Study, tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    page = tmp_path / "qc.html"
    page.symlink_to(precious)
    draft_of(page).symlink_to(precious)
    write_page(copied, page)
    assert precious.read_text() == "mine"
    assert not page.is_symlink() and page.read_text().startswith("<!DOCTYPE html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious.txt", "qc.html", "study"]


def test_a_page_takes_no_other_files_place(copied: Study) -> None:
    for name in ("study.toml", "catalog.duckdb", "page"):
        with pytest.raises(CatalogError, match=r"Expected a file that ends in \.html or \.htm"):
            write_page(copied, copied.layout.root / name)
    assert read_outputs(copied.layout.receipts) == []


def test_what_could_not_be_written_is_not_taken_for_an_output(copied: Study, run_mm: RunMm) -> None:
    mine = copied.layout.root / "mine.png"
    mine.write_text("of the user")
    for words in (("targets", "--picture", mine), ("precompute-augs", "--preview", mine)):
        assert "exists" in run_mm("--study", copied.layout.root, *words).stderr
    withdraw(copied, somebody(copied)[0])
    assert mine.exists()


def test_a_file_that_a_withdrawal_overtook_is_not_kept(
    copied: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    eid, _, _ = somebody(copied)
    keep = keep_if_present

    def withdraw_first(*arguments: Any) -> None:
        withdraw(copied, eid)
        keep(*arguments)

    monkeypatch.setattr(mmstudy.outputs, "keep_if_present", withdraw_first)
    with pytest.raises(StudyError, match="have withdrawn from the study while this command was at work"):
        export_samples(copied, tmp_path / "features.csv", ["age"], overwrite=False)
    assert not (tmp_path / "features.csv").exists()


def test_a_participants_number_never_gets_on_record(copied: Study, tmp_path: Path) -> None:
    eid, _, _ = somebody(copied)
    with pytest.raises(StudyError, match="holds a participant's number") as caught:
        export_samples(copied, tmp_path / f"of_{eid}.csv", ["age"], overwrite=False)
    assert str(eid) not in str(caught.value) and read_outputs(copied.layout.receipts) == []
    export_samples(copied, tmp_path / "of_20260101.csv", ["age"], overwrite=False)
    assert read_outputs(copied.layout.receipts) == [str(tmp_path / "of_20260101.csv")]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_without_a_record_nothing_is_written(
    number: int, copied: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(mmstudy.on_record, "append_receipts", refuse)
    with pytest.raises(StudyError, match="cannot be put on record"):
        export_samples(copied, tmp_path / "features.csv", ["age"], overwrite=False)
    assert not (tmp_path / "features.csv").exists()


def test_a_query_into_a_file_is_on_record(
    copied: Study, tmp_path: Path, run_mm: RunMm, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "answer.csv").open("w") as file, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", file)
        path = file_of_stdout()
    assert path == tmp_path / "answer.csv"
    monkeypatch.setattr(mmstudy.outputs, "file_of_stdout", lambda: path)
    assert run_mm("--study", copied.layout.root, "query", "--csv", "FROM samples").exit_code == 0
    assert read_outputs(copied.layout.receipts) == [str(path)]
    answer = run_mm("--study", copied.layout.root, "withdraw", write_list(copied, somebody(copied)[0]))
    assert f"  {path}\n" in answer.stdout


def test_standard_output_that_is_no_file_is_none() -> None:
    read, write = os.pipe()
    stdout = os.fdopen(write, "w")
    try:
        before, sys.stdout = sys.stdout, stdout
        assert file_of_stdout() is None
    finally:
        sys.stdout = before
        stdout.close()
        os.close(read)


def test_heads_that_a_killed_extractor_left_go_with_the_next_command(copied: Study, run_mm: RunMm) -> None:
    scratch = copied.layout.scratch
    for words in (("withdraw",), ("ingest", "ukb", "--workers", 0), ("repair", "--workers", 0)):
        head = scratch / "tmpabc" / "input.nii.gz"
        head.parent.mkdir(parents=True)
        head.write_bytes(b"a whole head")
        assert run_mm("--study", copied.layout.root, *words).exit_code == 0
        assert not scratch.exists()


def test_a_removal_on_record_before_outputs_were_is_read(copied: Study) -> None:
    receipts = copied.layout.receipts
    record_withdrawals(receipts, frozenset({"0" * 16}))
    removal = {"removal": 1, "status": "begun", "date": "2026-01-01", "participants": 1, "known": 0, "samples": 0}
    (receipts / "removals.jsonl").write_text(json.dumps(removal | {"places": {}, "runs": []}) + "\n")
    assert read_removals(receipts)[1].elsewhere == []
