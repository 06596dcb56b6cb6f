"""Damage to the files beside the shards: found by verify, mended by repair and ingest, and never believed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from typer.testing import Result

from mmdata.ledger.receipts import (
    COPY_RECEIPTS,
    OUTPUT_RECEIPTS,
    RECEIPTS,
    RUN_RECEIPTS,
    SAMPLE_RECEIPTS,
    SCAN_RECEIPTS,
    SUMMARY_RECEIPTS,
    WITHDRAWAL_RECEIPTS,
    read_samples,
    read_scan_receipts,
)
from tests.mmcli.outcome import complaint, complaint_last

RunMm = Callable[..., Result]
DESCRIPTION = "zarr.json"
ARRAYS = ("volumes.zarr/t1/64", "volumes.zarr/connectivity/glasser360", "augmented.zarr/flair/32")


@pytest.fixture
def copy(study: Path, tmp_path: Path) -> Path:
    """The ingested and augmented study, to be damaged."""
    return Path(shutil.copytree(study, tmp_path / "study"))


def store_bytes(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("*.zarr/**/*") if path.is_file()}


def flip(path: Path, line: int, position: int) -> None:
    """Flip a bit of a line of a file."""
    lines = path.read_bytes().splitlines(keepends=True)
    changed = bytearray(lines[line])
    changed[position] ^= 1
    path.write_bytes(b"".join([*lines[:line], bytes(changed), *lines[line + 1 :]]))


def lose_descriptions(root: Path) -> list[str]:
    """Lose three descriptions in three ways, and that of a store."""
    missing, torn, zeroed = (root / name / DESCRIPTION for name in ARRAYS)
    missing.unlink()
    torn.write_bytes(torn.read_bytes()[:100])
    zeroed.write_bytes(bytes(zeroed.stat().st_size))
    (root / "volumes.zarr" / DESCRIPTION).unlink()
    return sorted([*(f"{name}/{DESCRIPTION}" for name in ARRAYS), f"volumes.zarr/{DESCRIPTION}"])


def test_verify_names_lost_descriptions_and_repair_makes_the_same_bytes_again(
    copy: Path, study: Path, run_mm: RunMm
) -> None:
    lost = lose_descriptions(copy)
    verified = run_mm("--study", copy, "verify", "--workers", 0, "--json")
    found = json.loads(verified.stdout)
    assert verified.exit_code == 1 and [file["file"] for file in found["files"]] == lost and found["damaged"] == []
    assert f"{ARRAYS[0]}/zarr.json is missing. Make it again with: mm " in verified.stderr
    repaired = run_mm("--study", copy, "repair", "--workers", 0, "--json")
    result = json.loads(repaired.stdout)
    assert repaired.exit_code == 0 and result["files_made"] == lost and result["num_scans_read"] == 0
    assert store_bytes(copy) == store_bytes(study)
    assert run_mm("--study", copy, "verify", "--workers", 0).exit_code == 0


@pytest.mark.parametrize("command", ["ingest ukb", "precompute-augs --copies 1"])
def test_commands_that_write_make_lost_descriptions_again(copy: Path, study: Path, run_mm: RunMm, command: str) -> None:
    lose_descriptions(copy)
    assert run_mm("--study", copy, *command.split(), "--workers", 0).exit_code == 0
    assert store_bytes(copy) == store_bytes(study)


def test_a_study_of_a_version_without_images_is_whole_and_gets_them_by_the_next_command_that_writes(
    copy: Path, study: Path, run_mm: RunMm
) -> None:
    group = copy / "volumes.zarr/t1" / DESCRIPTION
    content = json.loads(group.read_bytes())
    assert content["attributes"].pop("ome")
    group.write_text(json.dumps(content))
    assert run_mm("--study", copy, "verify", "--workers", 0).exit_code == 0
    (copy / "nobody.csv").write_text("1")
    for words in (("status",), ("withdraw", copy / "nobody.csv")):
        assert "ome" not in json.loads(group.read_bytes())["attributes"]
        result = run_mm("--study", copy, *words)
        assert result.exit_code == 0, result.output
    (copy / "nobody.csv").unlink()
    assert store_bytes(copy) == store_bytes(study)


def test_where_receipts_are_damaged_the_object_names_them_and_says_nothing_of_rows(copy: Path, run_mm: RunMm) -> None:
    path = copy / "receipts" / SCAN_RECEIPTS
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    verified = run_mm("--study", copy, "verify", "--workers", 0, "--json")
    found = json.loads(verified.stdout)
    assert verified.exit_code == 1 and found["damaged"] is None
    assert [file["file"] for file in found["files"]] == [f"receipts/{SCAN_RECEIPTS}"]


def test_a_description_that_says_something_else_is_told_and_left(copy: Path, run_mm: RunMm) -> None:
    path = copy / ARRAYS[0] / DESCRIPTION
    path.write_text(path.read_text().replace("MNI152-linear", "MNI152-limear"))
    before = path.read_bytes()
    for command in ("verify", "repair"):
        told = complaint_last_of(run_mm("--study", copy, command, "--workers", 0))
        assert "not what study.toml says (space)" in told
    assert path.read_bytes() == before


def complaint_last_of(result: Result) -> str:
    complaint_last(result)
    return result.stderr


@pytest.mark.parametrize("name", [SCAN_RECEIPTS, COPY_RECEIPTS])
def test_damaged_receipts_of_what_can_be_stored_again_are_taken_out_by_repair(
    copy: Path, study: Path, run_mm: RunMm, name: str
) -> None:
    flip(copy / "receipts" / name, 1, 20)
    told = complaint_last_of(run_mm("--study", copy, "verify", "--workers", 0))
    assert f"receipts/{name} is damaged in line 2. Take it out with mm " in told
    repaired = run_mm("--study", copy, "repair", "--workers", 0, "--json")
    assert repaired.exit_code == 0 and json.loads(repaired.stdout)["num_receipts_dropped"] == 1
    for command in ("ingest ukb", "precompute-augs --copies 2"):
        assert run_mm("--study", copy, *command.split(), "--workers", 0).exit_code == 0
    assert read_scan_receipts(copy / "receipts") == read_scan_receipts(study / "receipts")
    assert store_bytes(copy) == store_bytes(study)


def test_a_damaged_receipt_of_a_sample_stops_everything_that_depends_on_it(copy: Path, run_mm: RunMm) -> None:
    path = copy / "receipts" / SAMPLE_RECEIPTS
    whole = path.read_bytes()
    flip(path, 0, 30)
    for command in ("ingest ukb", "repair"):
        told = complaint(run_mm("--study", copy, *command.split(), "--workers", 0))
        assert f"Line 1 of receipts/{SAMPLE_RECEIPTS} is damaged. Put the file back from a backup." in told
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[1:]))  # as the message says
    assert run_mm("--study", copy, "ingest", "ukb", "--workers", 0).exit_code == 0
    assert sorted(path.read_bytes().splitlines(keepends=True)) == sorted(lines)


@pytest.fixture
def withdrawn(copy: Path, run_mm: RunMm, tmp_path: Path) -> Path:
    """The study without two more participants, and without its catalogue, which alone knows them otherwise."""
    with duckdb.connect(str(copy / "catalog.duckdb"), read_only=True) as catalog:
        eids = [eid for (eid,) in catalog.execute("SELECT DISTINCT eid FROM samples ORDER BY eid LIMIT 2").fetchall()]
    listed = tmp_path / "w12345_20260101.csv"
    listed.write_text("".join(f"{eid}\n" for eid in eids))
    assert run_mm("--study", copy, "withdraw", listed).exit_code == 0
    (copy / "catalog.duckdb").unlink()
    return copy


def test_no_flipped_bit_of_a_tombstone_brings_a_participant_back(withdrawn: Path, run_mm: RunMm) -> None:
    path = withdrawn / "receipts" / WITHDRAWAL_RECEIPTS
    whole = path.read_bytes()
    lines = whole.splitlines()
    for line in range(len(lines)):
        for position in (2, 25, 60, len(lines[line]) - 5):
            flip(path, line, position)
            told = complaint_last_of(run_mm("--study", withdrawn, "verify", "--workers", 0))
            assert f"receipts/{WITHDRAWAL_RECEIPTS} is damaged in line {line + 1}" in told
            path.write_bytes(whole)
    flip(path, 0, 25)
    assert "It says who must never come back" in complaint(run_mm("--study", withdrawn, "ingest", "ukb"))
    assert not (withdrawn / "catalog.duckdb").exists()


def test_a_lost_tombstone_is_missed_and_blocks_a_new_catalogue(withdrawn: Path, run_mm: RunMm) -> None:
    path = withdrawn / "receipts" / WITHDRAWAL_RECEIPTS
    whole = path.read_bytes()
    key = json.loads(whole.splitlines()[0])["participant_key"].encode()
    path.write_bytes(b"".join(line for line in whole.splitlines(keepends=True) if key not in line))
    told = complaint_last_of(run_mm("--study", withdrawn, "verify", "--workers", 0))
    assert "lacks 1 of the participants who have withdrawn" in told
    assert "lacks 1 of the participants" in complaint(run_mm("--study", withdrawn, "ingest", "ukb"))
    path.unlink()
    assert "lacks 5 of the participants" in complaint(run_mm("--study", withdrawn, "ingest", "ukb"))
    path.write_bytes(whole)
    assert run_mm("--study", withdrawn, "ingest", "ukb", "--workers", 0).exit_code == 0
    assert run_mm("--study", withdrawn, "verify", "--workers", 0).exit_code == 0


def test_the_next_ingest_gives_the_receipts_of_earlier_versions_checksums(
    copy: Path, study: Path, run_mm: RunMm
) -> None:
    signed = {}
    for name in RECEIPTS:
        path = copy / "receipts" / name
        if path.exists():
            signed[name] = path.read_bytes()
            entries = [json.loads(line) for line in signed[name].splitlines()]
            plain = [{key: value for key, value in entry.items() if key != "crc32"} for entry in entries]
            path.write_text("".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in plain))
    assert (
        signed.keys() == {*RECEIPTS} - {OUTPUT_RECEIPTS, RUN_RECEIPTS, SUMMARY_RECEIPTS}
        and run_mm("--study", copy, "verify", "--workers", 0).exit_code == 0
    )
    assert read_samples(copy / "receipts") == read_samples(study / "receipts")
    assert run_mm("--study", copy, "ingest", "ukb", "--workers", 0).exit_code == 0
    assert {name: (copy / "receipts" / name).read_bytes() for name in signed} == signed


def test_a_whole_array_of_copies_that_is_gone_is_missed_and_made_again(copy: Path, study: Path, run_mm: RunMm) -> None:
    shutil.rmtree(copy / "augmented.zarr" / "flair")
    verified = run_mm("--study", copy, "verify", "--workers", 0, "--json")
    damaged = json.loads(verified.stdout)["damaged"]
    assert verified.exit_code == 1 and damaged and {row["modality"] for row in damaged} == {"flair"}
    told = run_mm("--study", copy, "verify", "--workers", 0).stdout.splitlines()
    assert told[1].split() == ["augmented.zarr/flair/32", str(len(damaged)), "is", "gone"]
    repaired = run_mm("--study", copy, "repair", "--workers", 0, "--json")
    assert repaired.exit_code == 0 and json.loads(repaired.stdout)["num_copies_made"] == len(damaged)
    assert store_bytes(copy) == store_bytes(study)
    assert run_mm("--study", copy, "verify", "--workers", 0).exit_code == 0
