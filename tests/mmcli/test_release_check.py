"""`mm release-check` tells what must not be published, and fails where there is anything."""

import json
import shutil
from pathlib import Path

import pytest

from mmstudy.settings import load_study
from tests.conftest import RunMm


def test_participants_of_the_study_are_found_and_never_printed(run_mm: RunMm, study: Path, tmp_path: Path) -> None:
    listed = run_mm("--study", study, "query", "SELECT eid, sample_id FROM samples LIMIT 1", "--json")
    ((eid, sample),) = json.loads(listed.stdout)["rows"]
    (tmp_path / "notes.txt").write_text(f"worst: {eid}\nbest: {sample}\n")
    result = run_mm("--study", study, "release-check", tmp_path)
    assert result.exit_code == 1
    assert "notes.txt, line 1: the eid of a participant of the study (eid)" in result.stdout
    assert "notes.txt, line 2: the id of a sample or participant of the study (sample-id)" in result.stdout
    assert str(eid) not in result.output and sample not in result.output
    told = json.loads(run_mm("--study", study, "release-check", tmp_path, "--json").stdout)
    assert [(finding["kind"], finding["at"]) for finding in told["findings"]] == [
        ("eid", "line 1"),
        ("sample-id", "line 2"),
    ]
    assert load_study(study).config.salt not in json.dumps(told)


def test_a_withdrawn_participant_is_found(run_mm: RunMm, study: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(study, tmp_path / "study"))
    found = run_mm("--study", copy, "query", "SELECT eid FROM samples LIMIT 1", "--json")
    ((eid,),) = json.loads(found.stdout)["rows"]
    listed = tmp_path / "release" / "list"
    listed.parent.mkdir()
    listed.write_text(f"{eid}\n")
    assert run_mm("--study", copy, "withdraw", listed, "--yes", "--workers", 0).exit_code == 0
    result = run_mm("--study", copy, "release-check", listed.parent)
    assert result.exit_code == 1 and "the eid of a participant of the study" in result.stdout


def test_a_clean_folder_passes_and_says_what_was_not_known(
    run_mm: RunMm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "main.tex").write_text("We trained on 4,000 people.\n")
    result = run_mm("--study", tmp_path / "none", "release-check", tmp_path / "paper")
    assert result.exit_code == 1  # a study that was named has to be there
    monkeypatch.chdir(tmp_path)
    result = run_mm("release-check", "paper")
    assert result.exit_code == 0, result.output
    assert "Files: 1, 0.0 MB. Findings: 0." in result.stdout and "there is no study here" in result.stderr


def test_a_mistake_is_told(run_mm: RunMm, tmp_path: Path) -> None:
    result = run_mm("release-check", f"git:{tmp_path}")
    assert result.exit_code == 1 and "git cannot read" in result.stderr
