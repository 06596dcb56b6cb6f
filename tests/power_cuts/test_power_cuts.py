"""Power cuts at every moment of every command that writes: the same command again ends as if there had been none.

``MM_CUTS`` sets how many states of each command are tried, spread over all its moments; a handful is enough to see that
it works, a thousand tries every one that the watched disk may be in.
"""

import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from cli import app
from mmdata.ledger.receipts import read_copy_receipts, read_samples, read_scan_receipts, read_tombstones
from mmdata.volume.nifti import encode_volume
from tests.power_cuts.disk import State, watch, write_state

NUM_CUTS = int(os.environ.get("MM_CUTS", "4"))
GRID_SIDE, SPACING_MM = 16, 12.0
SETTINGS = (
    "salt=salt-of-the-test-study",
    f"volumes.sides=[{GRID_SIDE}]",
    'volumes.modalities=["t1"]',
    "volumes.rows_per_shard=4",
    f"augment.sides=[{GRID_SIDE}]",
    "connectivity.enabled=false",
    "ingest.min_template_overlap=0.0",
    f"train.side={GRID_SIDE}",
    "train.epochs=2",
    "train.batch_size=4",
    "train.channels=[4,4]",
    "train.device=cpu",
)
SPLITS = ["TRAIN"] * 8 + ["VAL"] * 2 + ["TEST"] * 2
MAX_TOLD = 1000
FIRST_EID = 1_000_001
Words = Sequence[object]


def mm(root: Path, *words: object) -> Result:
    return CliRunner().invoke(app, ["--study", str(root), *map(str, words)])


def write_release(root: Path, num: int) -> Path:
    """Write so many participants in the reference study's layout: ellipsoids as bright as people are old."""
    rng = np.random.default_rng(3)
    axes = np.meshgrid(*[np.linspace(-1, 1, GRID_SIDE)] * 3, indexing="ij")
    inside = sum(axis**2 for axis in axes) < 0.6
    affine_44 = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    affine_44[:3, 3] = np.array([0.0, -16.5, 6.5]) - SPACING_MM * (GRID_SIDE - 1) / 2
    lines = ["eid,age"]
    for index, split in enumerate(SPLITS[:num]):
        age = 45 + 3 * index
        brain_XYZ = inside * (age + 5 * rng.standard_normal(inside.shape))
        path = root / split / "T1" / f"{FIRST_EID + index}_t1.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_volume(brain_XYZ, affine_44, np.float32))
        lines.append(f"{FIRST_EID + index},{age}")
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    return root


@dataclass(frozen=True)
class Sources:
    """What studies of these tests are made of."""

    release: Path
    small: Path
    """The same release before the last participants had come."""
    withdrawn: Path
    """List of two participants."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    folder = tmp_path_factory.mktemp("sources")
    withdrawn = folder / "w12345_20260101.csv"
    withdrawn.write_text(f"{FIRST_EID + 1}\n{FIRST_EID + 9}\n")
    return Sources(write_release(folder / "release", 12), write_release(folder / "small", 10), withdrawn)


def init(sources: Sources) -> Words:
    options = [word for setting in SETTINGS for word in ("--set", setting)]
    return ("init", "--source", f"folder:{sources.small}", *options)


def ingest(sources: Sources) -> Words:
    return ("ingest", "folder", sources.release, "--workers", 0)


def ingest_small(_: Sources) -> Words:
    return ("ingest", "folder", "--workers", 0)


def copies(_: Sources) -> Words:
    return ("precompute-augs", "--copies", 2, "--workers", 0)


def withdraw(sources: Sources) -> Words:
    return ("withdraw", sources.withdrawn)


def train(_: Sources) -> Words:
    return ("train", "--target", "age", "--inputs", "t1")


Command = Callable[[Sources], Words]
"""Its words, given what the study is made of."""
CAMPAIGNS: dict[str, tuple[Sequence[Command], Command]] = {
    "init": ((), init),
    "ingest": ((init,), ingest),
    "ingest of what has come since": ((init, ingest_small, copies), ingest),
    "precompute-augs": ((init, ingest), copies),
    "withdraw": ((init, ingest, copies), withdraw),
    "train": ((init, ingest, copies), train),
}
"""What has been done before, and the command during which the power is cut."""


def require_clear(result: Result) -> Result:
    """Refuse a traceback, and a failure that does not end in one clear line."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert "Traceback" not in result.output
    if result.exit_code:
        assert re.match("error: |Usage: ", result.stderr.splitlines()[-1]), result.output
    return result


def recover(root: Path, words: Words) -> None:
    """Do what a user does who comes back after a power cut."""
    for look in ("verify --workers 0", "status"):
        require_clear(mm(root, *look.split()))
    if words[0] == "init":
        again = require_clear(mm(root, *words))
        assert again.exit_code == 0 or "is a study already" in again.stderr, again.output
        return
    if words[0] == "train":
        for run in sorted((root / "runs").glob("*")):
            require_clear(mm(root, "train", "--resume", run.name))
            if (run / "metrics.json").exists():
                return
    again = require_clear(mm(root, *words))
    assert again.exit_code == 0, again.output


def final(root: Path) -> dict[str, Any]:
    """Return all that counts of a study: stores, receipts, the catalogue's rows, the last run."""
    stores = [path for path in root.glob("*.zarr/**/*") if path.is_file()]
    found: dict[str, Any] = {str(path.relative_to(root)): path.read_bytes() for path in stores}
    receipts = root / "receipts"
    found["toml"] = (root / "study.toml").read_bytes()
    found["receipts"] = [read_samples(receipts), read_scan_receipts(receipts), read_copy_receipts(receipts)]
    found["tombstones"] = read_tombstones(receipts)
    if (root / "catalog.duckdb").exists():
        with duckdb.connect(str(root / "catalog.duckdb"), read_only=True) as catalog:
            for view in ("samples", "scans", "features", "splits"):
                found[view] = sorted(map(repr, catalog.execute(f"SELECT * FROM {view}").fetchall()))
    finished = sorted((root / "runs").glob("*/metrics.json"))
    if finished:
        run = finished[-1].parent
        found["run"] = [pl.read_parquet(run / f"{name}.parquet").to_dicts() for name in ("cohort", "predictions")]
        found["model"] = [(run / name).read_bytes() for name in ("model.safetensors", "model.json", "metrics.json")]
    return found


@dataclass(frozen=True)
class Campaign:
    states: list[State]
    num_moments: int
    expected: dict[str, Any]
    words: Words


def record(name: str, sources: Sources, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """Do a command on a watched disk."""
    before, command = CAMPAIGNS[name]
    (folder / "disk").mkdir(parents=True)
    (folder / "links").mkdir()
    root = folder / "disk" / "study"
    for earlier in before:
        done = mm(root, *earlier(sources))
        assert done.exit_code == 0, done.output
    with watch(folder / "disk", folder / "links", monkeypatch) as disk:
        done = mm(root, *command(sources))
    assert done.exit_code == 0, done.output
    return Campaign(list(disk.states.values()), disk.num_moments, final(root), command(sources))


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_after_a_power_cut_the_same_command_ends_as_if_there_had_been_none(
    name: str, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = record(name, sources, tmp_path / "recorded", monkeypatch)
    assert len(campaign.states) >= campaign.num_moments // 4 > 1
    chosen = np.unique(np.linspace(0, len(campaign.states) - 1, NUM_CUTS).astype(int))
    problems = [problem for number in chosen if (problem := problem_after(campaign, number, tmp_path / "cut"))]
    sys.stdout.write(f"{len(chosen)} of {len(campaign.states)} states after {campaign.num_moments} moments\n")
    assert not problems, f"{len(problems)} of {len(chosen)} states: " + "\n".join(problems)


def problem_after(campaign: Campaign, number: int, disk: Path) -> str:
    """Return what is wrong after a power cut and whatever a user then does; nothing where all is well."""
    write_state(campaign.states[number], disk)
    try:
        recover(disk / "study", campaign.words)
        found = final(disk / "study")
        assert [name for name in campaign.expected if found.get(name) != campaign.expected[name]] == []
        verified = mm(disk / "study", "verify", "--workers", 0)
        assert verified.exit_code == 0, verified.output
    except AssertionError as error:
        return f"state {number}: {str(error)[:MAX_TOLD]}"
    finally:
        shutil.rmtree(disk)
    return ""
