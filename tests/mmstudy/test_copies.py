"""`mm precompute-augs`: where it computes, what it shows before it stores anything."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from matplotlib.image import imread

from mmbase.errors import MmError
from mmdata.execution.pools import LocalPool, SchedulerPool, WorkerPool
from mmstudy.copies import choose_device
from tests.conftest import RunMm
from tests.mmcli.outcome import complaint

HERE, CLUSTER = LocalPool(processes=2), SchedulerPool(address="tcp://node1:8786")


@pytest.mark.parametrize(
    ("device", "pool", "has_gpu", "chosen"),
    [
        ("auto", HERE, True, "cuda"),
        ("auto", HERE, False, "cpu"),
        ("auto", CLUSTER, True, "cpu"),
        ("cpu", HERE, True, "cpu"),
        ("cuda", HERE, True, "cuda"),
        ("cuda:1", HERE, True, "cuda:1"),
    ],
)
def test_a_gpu_is_used_where_there_is_one_and_nobody_else_works(
    monkeypatch: pytest.MonkeyPatch, device: str, pool: WorkerPool, has_gpu: bool, chosen: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device(device, pool) == chosen


@pytest.mark.parametrize(
    ("pool", "named"), [(HERE, "finds no GPU here. Use --device cpu"), (CLUSTER, "either --device cuda")]
)
def test_a_gpu_that_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch, pool: WorkerPool, named: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MmError, match=named):
        choose_device("cuda", pool)


def test_a_preview_is_a_picture_and_stores_nothing(run_mm: RunMm, study: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(study, tmp_path / "study"))
    before = set(own.rglob("*"))
    path = tmp_path / "sheet.png"
    result = run_mm("--study", own, "precompute-augs", "--preview", path)
    assert result.exit_code == 0, result.output
    picture = imread(path)
    assert picture[..., :3].mean() < 0.3 and picture[..., :3].max() > 0.9  # brains on a dark background
    assert path.stat().st_mode & 0o777 == 0o600
    on_record = {own / "receipts" / "outputs.jsonl", own / "receipts" / "outputs.lock"}
    assert set(own.rglob("*")) - before <= {*on_record, own / "scratch"}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--preview", "sheet.jpg"), "Expected a file that ends in .png"),
        (("--preview", "nowhere/sheet.png"), "does not exist"),
        (("--preview", "sheet.png", "--side", 48), "Side 48 is not stored"),
        (("--device", "cuda", "--scheduler", "tcp://node1:8786"), "either --device cuda"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    run_mm: RunMm, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...], named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_mm("--study", study, "precompute-augs", *words)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ") and len(result.stderr.splitlines()) == 1
    assert named in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_dry_run_tells_disk_memory_and_time(run_mm: RunMm, study: Path) -> None:
    result = run_mm("--study", study, "precompute-augs", "--copies", 3, "--dry-run", "--workers", 0, "--json")
    assert result.exit_code == 0, result.output
    planned = json.loads(result.stdout)
    assert planned["volumes"] > 0 and planned["disk_bytes"] > 0 and planned["worker_bytes"] > 0
    assert 0 < planned["estimated_seconds"] < 600
    shown = run_mm("--study", study, "precompute-augs", "--copies", 3, "--dry-run", "--workers", 0)
    assert "estimated from a few copies" in shown.stdout


@pytest.mark.parametrize(("gone", "inputs"), [("t1", "t1"), ("flair", "t1,flair"), ("", "flair")])
def test_a_run_refuses_to_do_without_copies_that_were_made(
    study: Path, run_mm: RunMm, tmp_path: Path, gone: str, inputs: str
) -> None:
    copy = Path(shutil.copytree(study, tmp_path / "study"))
    shutil.rmtree(copy / "augmented.zarr" / gone)
    words = ("--study", copy, "train", "--target", "age", "--inputs", inputs, "--dry-run")
    told = complaint(run_mm(*words))
    assert "2 augmented copies of " in told and told.endswith(" repair, or train without with --copies 0.")
    assert "augmented copies of" not in run_mm(*words, "--copies", 0).output
    if gone == "flair":
        words = ("--study", copy, "train", "--target", "age", "--inputs", "t1", "--dry-run")
        assert "augmented copies of" not in run_mm(*words).output
