"""Real processes, really killed: running the same command again gives the bytes of an uninterrupted study."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.conftest import RunMm

MM = Path(sys.executable).with_name("mm")
RECEIPTS = Path("receipts") / "scans.jsonl"
OF_T1 = ("volumes.modalities=['t1']", "connectivity.enabled=false", "volumes.rows_per_shard=4")


def store_bytes(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for store in ("volumes.zarr", "augmented.zarr")
        for path in (root / store).rglob("*")
        if path.is_file()
    }


def start(root: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    command = [str(MM), "--study", str(root), *words]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True, **pipes)


def path_behind(folder: Path) -> str:
    """Return PYTHONPATH with a folder in front, whose sitecustomize.py every new interpreter runs."""
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


def wait_for_receipts(root: Path, process: subprocess.Popen[str]) -> None:
    while not ((root / RECEIPTS).exists() and (root / RECEIPTS).stat().st_size):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


ENDLESS_SCAN = """
import os
import time
import mmdata.readers.scan as scan

load = scan.load_scan

def wait_or_load(candidate, settings):
    if candidate.path.name == os.environ["MM_TEST_ENDLESS"]:
        time.sleep(600)
    return load(candidate, settings)

scan.load_scan = wait_or_load
"""


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_a_stopped_ingest_goes_on_to_the_same_bytes(
    stop: signal.Signals, tmp_path: Path, make_study: Callable[..., Path], study: Path, release: Path, run_mm: RunMm
) -> None:
    root = make_study(tmp_path / "study")
    (tmp_path / "sitecustomize.py").write_text(ENDLESS_SCAN)
    last = sorted(release.rglob("*_20252_2_0.zip"))[-1]
    process = start(
        root, "ingest", "ukb", "--workers", "2", PYTHONPATH=path_behind(tmp_path), MM_TEST_ENDLESS=last.name
    )
    wait_for_receipts(root, process)
    if stop == signal.SIGKILL:
        os.kill(process.pid, stop)
    else:
        os.killpg(process.pid, stop)
    _, messages = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "Traceback" not in messages
    if stop == signal.SIGINT:
        assert messages.splitlines()[-1].startswith("error: Interrupted.")

    for words in (("ingest", "ukb"), ("precompute-augs", "--copies", 2)):
        again = run_mm("--study", root, *words, "--workers", 0)
        assert again.exit_code == 0, again.output
    assert store_bytes(root) == store_bytes(study)


CRASHING_SCAN = """
import os
import mmdata.readers.scan as scan

load = scan.load_scan

def crash_or_load(candidate, settings):
    if candidate.path.name == os.environ["MM_TEST_CRASHING"]:
        os.abort()
    return load(candidate, settings)

scan.load_scan = crash_or_load
"""


def test_a_scan_that_brings_its_process_down_costs_itself_alone(
    tmp_path: Path, make_study: Callable[..., Path], release: Path, run_mm: RunMm
) -> None:
    def ingest_here(root: Path) -> None:
        result = run_mm("--study", root, "ingest", "ukb", "--workers", 0)
        assert result.exit_code == 0, result.output

    whole, root = (make_study(tmp_path / name, *OF_T1) for name in ("whole", "study"))
    ingest_here(whole)
    stored = scan_status(whole, "t1")
    victim = sorted(release.rglob("*_20252_2_0.zip"))[3]
    (tmp_path / "sitecustomize.py").write_text(CRASHING_SCAN)
    environment = {"PYTHONPATH": path_behind(tmp_path), "MM_TEST_CRASHING": victim.name}
    process = start(root, "ingest", "ukb", "--workers", "2", **environment)
    _, messages = process.communicate(timeout=300)
    assert process.returncode == 0, messages
    after = scan_status(root, "t1")
    assert set(after.values()) == {*stored.values(), "crashed-worker"}
    changed = {sample_id for sample_id in stored if after[sample_id] != stored[sample_id]}
    assert [after[sample_id] for sample_id in changed] == ["crashed-worker"]

    ingest_here(root)
    assert scan_status(root, "t1") == stored
    assert store_bytes(root) == store_bytes(whole)


def scan_status(root: Path, modality: str) -> dict[str, str]:
    """Return the status of each sample's scan, or the reason why it is rejected."""
    with duckdb.connect(str(root / "catalog.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "SELECT sample_id, CASE WHEN status = 'rejected' THEN reason ELSE status END FROM scans WHERE modality = ?",
            [modality],
        ).fetchall()
    return dict(rows)
