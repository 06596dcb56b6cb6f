"""Power cuts at every moment of every command that writes: the same command again ends as if there had been none.

``MM_CUTS`` sets how many states of each command are tried, spread over all its moments; a handful is enough to see that
it works, a thousand tries every one that the watched disk may be in.
"""

import json
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
from typer.testing import Result

from mmdata.ledger.receipts import read_copy_receipts, read_samples, read_scan_receipts
from mmdata.ledger.tombstones import read_tombstones
from mmdata.store.chunks import shard_file
from tests.power_cuts.disk import State, watch, write_state
from tests.power_cuts.study import (
    Sources,
    Words,
    copies,
    ingest,
    ingest_small,
    init,
    mm,
    repair,
    train,
    withdraw,
    write_sources,
)

NUM_CUTS = int(os.environ.get("MM_CUTS", "3"))
MAX_TOLD = 1000


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return write_sources(tmp_path_factory.mktemp("sources"))


Command = Callable[[Sources], Words]
"""Its words, given what the study is made of."""
CAMPAIGNS: dict[str, tuple[Sequence[Command], Command]] = {
    "init": ((), init),
    "ingest": ((init,), ingest),
    "ingest of what has come since": ((init, ingest_small, copies), ingest),
    "precompute-augs": ((init, ingest), copies),
    "withdraw": ((init, ingest, copies, train), withdraw),
    "train": ((init, ingest, copies), train),
    "repair": ((init, ingest, copies), repair),
    "ingest into a study of mm 0.1.0": ((init, ingest_small, copies), ingest),
}
"""What has been done before, and the command during which the power is cut."""


def damage(root: Path) -> None:
    """Lose a shard of volumes, one of copies, and the description of each."""
    for array, copy in (("volumes.zarr/t1/16", None), ("augmented.zarr/t1/16", 1)):
        shard_file(root / array, 1, 3, copy=copy).unlink()
        (root / array / "zarr.json").write_bytes(b"")


def take_checksums_away(root: Path) -> None:
    """Turn receipts into what mm 0.1.0 wrote."""
    for path in (root / "receipts").glob("*.jsonl"):
        path.write_text(re.sub(r',"crc32":"\w+"', "", path.read_text()))


SPOIL: dict[str, Callable[[Path], None]] = {
    "repair": damage,
    "ingest into a study of mm 0.1.0": take_checksums_away,
}
"""What is done to the study before that command."""


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
        found["model"] = [(run / name).read_bytes() for name in ("model.safetensors", "model.json")]
        found["metrics"] = json.loads((run / "metrics.json").read_text()) | {"minutes": "as long as it takes"}
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
    SPOIL.get(name, lambda _: None)(root)
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
