"""Make the archive of a version: a small study as that version left it, which every later version has to read.

Run once for each release, by a person who has a checkout of it, set up by ``make install``, and nothing else at work::

    .venv/bin/python tests/versions/make_archive.py

It writes ``tests/versions/VERSION.tar.xz``, to be committed; `tests/test_versions.py` finds it there. All participants
are synthetic and the salt is no secret. The archive holds

study/         settings, catalogue, receipts, stores, and the runs
expected.json  what `mm status --json` said, the id of the run that was stopped within its second epoch, what
               metrics.jsonl says of the same run without a stop, and a hash of every array as zarr-python reads it

Pictures, event files, locks, the checkpoints of finished runs and those before the last are left out. What remains is
mostly weights: those of the head alone take 0.5 MB packed, and a checkpoint holds three times as many numbers.
"""

import hashlib
import json
import lzma
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import zarr

from mmbase.version import VERSION

WORK = Path("/tmp/mm-archive")
"""A plain folder, because the catalogue keeps the paths of its sources."""
SETTINGS = (
    "salt=an-archive-needs-no-secret",
    "volumes.sides=[16,8]",
    "volumes.rows_per_shard=8",
    "augment.sides=[16]",
    "connectivity.name=tian16",
    "splits.val=0.25",
    "splits.test=0.25",
    "train.side=16",
)
EVERY_RUN = ("--device", "cpu", "--precision", "float32", "--epochs", "2", "--batch-size", "5", "--seed", "1")
"""In float64 a checkpoint would take 3 MB. With these settings a loss hardly depends on rounding; see the tests."""
REGRESSION = ("--target", "age", "--channels", "4,8,8", *EVERY_RUN)
CLASSIFICATION = ("--target", "sex", "--inputs", "connectivity,metadata", "--metadata-block", "disease", *EVERY_RUN)
LEFT_OUT = ("tensorboard/*", "plots/*", "*.lock", "checkpoints/lock", "*.previous.safetensors")
"""Below a study; besides these, the checkpoints of finished runs."""
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 2, "pb": 2}]
"""Best for floating-point numbers of four bytes: each byte is predicted from those at the same place in others."""


def main() -> None:
    """Make the study, and pack it."""
    archive = Path(__file__).with_name(f"{VERSION}.tar.xz")
    study = WORK / "study"
    if archive.exists() or study.exists():
        sys.exit(f"{archive} and {study} must not exist")
    make_study(WORK / "release", study)
    whole = train(study, *REGRESSION)
    train(study, *CLASSIFICATION)
    unfinished = train_and_stop(study, *REGRESSION)
    expected = {
        "status": json.loads(mm(study, "status", "--json")),
        "unfinished": {"run_id": unfinished.name, "epochs": read_epochs(whole)},
        "arrays": {
            path.parent.relative_to(study).as_posix(): hash_array(path.parent)
            for path in sorted(study.rglob("zarr.json"))
            if json.loads(path.read_text())["node_type"] == "array"
        },
    }
    (WORK / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")
    pack(archive)


def make_study(release: Path, study: Path) -> None:
    """Make a study with copies of a release, which is written unless it is there from a try before."""
    if not release.exists():
        mm(study, "synth", "ukb", str(release), "--participants", "24", "--voxel-mm", "4", "--extras")
    mm(study, "init", "--source", str(release), *(word for setting in SETTINGS for word in ("--set", setting)))
    mm(study, "ingest", "ukb")
    mm(study, "precompute-augs", "--copies", "1")


def train(study: Path, *words: str) -> Path:
    """Train a run to its end; return its directory."""
    return study / "runs" / json.loads(mm(study, "train", *words, "--json"))["run_id"]


def train_and_stop(study: Path, *words: str) -> Path:
    """Train a run until its first epoch is done, then stop it after the next step; return its directory."""
    known = set((study / "runs").iterdir())
    with subprocess.Popen(line(study, "train", *words)) as process:
        while process.poll() is None and not any(map(read_epochs, set((study / "runs").iterdir()) - known)):
            time.sleep(0.001)
        process.send_signal(signal.SIGTERM)
    (run,) = set((study / "runs").iterdir()) - known
    if len(read_epochs(run)) != 1 or (run / "metrics.json").exists():
        sys.exit(f"expected that {run} stops in its second epoch; remove {study} and try again")
    return run


def read_epochs(run: Path) -> list[dict[str, Any]]:
    """Return what metrics.jsonl says of each finished epoch."""
    path = run / "metrics.jsonl"
    return [json.loads(entry) for entry in path.read_text().splitlines()] if path.exists() else []


def hash_array(path: Path) -> str:
    """Return the SHA-256 of an array's values."""
    return hashlib.sha256(zarr.open_array(path, mode="r")[...].tobytes()).hexdigest()


def pack(archive: Path) -> None:
    """Write everything that is to be kept, without owners and times."""
    with lzma.open(archive, "wb", filters=FILTERS) as compressed, tarfile.open(fileobj=compressed, mode="w") as tar:
        for path in sorted(WORK.rglob("*")):
            if path.is_relative_to(WORK / "release") or any(map(path.match, LEFT_OUT)):
                continue
            if path.parent.name == "checkpoints" and (path.parents[1] / "metrics.json").exists():
                continue
            tar.add(path, path.relative_to(WORK).as_posix(), recursive=False, filter=without_owner)
    sys.stdout.write(f"Wrote {archive}: {archive.stat().st_size / 1e6:.2f} MB\n")


def without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Forget whose a file is, and of when."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def mm(study: Path, *words: str) -> str:
    """Run a command line of this version; return what it wrote on stdout."""
    return subprocess.run(line(study, *words), stdout=subprocess.PIPE, text=True, check=True).stdout


def line(study: Path, *words: str) -> list[str]:
    """Return the words of a command line."""
    return [sys.executable, "-P", "-m", "cli", "--study", str(study), *words]


if __name__ == "__main__":
    main()
