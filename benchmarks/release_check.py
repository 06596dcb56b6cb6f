"""Looking for what must not be published, against reading the same files for a checksum.

A folder of 250 MB of mixed files: text, tables, packed tables, weights, Parquet, archives, bytes without structure.
`mm` checks it with a study of 100,000 participants, and without one; `sha256` reads each file and computes its SHA-256,
which no program that looks at every byte, and at those that are packed, can be expected to beat. Seconds are those of
the processor, so that neighbours do not count.
"""

import gzip
import hashlib
import random
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
from safetensors.numpy import save_file

from catalog.fingerprints import Fingerprints
from catalog.identity import participant_key
from mmstudy.release.check import ReleaseCheck, check_folder
from mmstudy.release.people import People

REPEATS = 3
NUM_PARTICIPANTS = 100_000
_SALT = "salt-of-a-benchmark-of-nobody"
_NUM_TEXTS, _TEXT_BYTES = 4_000, 10_000
_SOURCES = Path(__file__).parents[1]


def bench_release_check(folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Measure the check and the reading in turns."""
    make_files(folder)
    num_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    contenders: dict[str, Callable[[], object]] = {
        "mm, study": lambda: _require_whole(check_folder(folder, make_people(), _silent), num_bytes),
        "mm, no study": lambda: _require_whole(check_folder(folder, None, _silent), num_bytes),
        "sha256": lambda: [hashlib.sha256(path.read_bytes()).digest() for path in folder.rglob("*") if path.is_file()],
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(REPEATS):
        for name, work in contenders.items():
            before = time.process_time()
            work()
            seconds[name].append(time.process_time() - before)
    measured = {
        "megabytes": round(num_bytes / 1e6),
        "cpu_seconds": {name: round(median(times), 2) for name, times in seconds.items()},
        "cpu_seconds_per_gigabyte": {
            name: round(median(times) * 1e9 / num_bytes, 1) for name, times in seconds.items()
        },
    }
    return measured, {"release_check_vs_sha256": median(seconds["mm, study"]) / median(seconds["sha256"])}


def make_people() -> People:
    """Make the participants of a study, about whom nobody has asked yet."""
    drawn = random.Random(1).sample(range(1_000_000, 7_000_000), NUM_PARTICIPANTS)
    keys = frozenset(participant_key(_SALT, eid) for eid in drawn)
    return People(_SALT, Fingerprints(participants=keys, samples=frozenset(), sizes=frozenset({NUM_PARTICIPANTS})))


def make_files(folder: Path) -> None:
    """Write the folder."""
    generator = np.random.default_rng(1)
    source = b"".join(path.read_bytes() for path in sorted(_SOURCES.glob("mm*/**/*.py")))
    for number, start in enumerate(generator.integers(0, len(source) - _TEXT_BYTES, _NUM_TEXTS)):
        text = folder / f"code/{number % 50}/{number}.py"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_bytes(source[start : start + _TEXT_BYTES])
    counts = pl.DataFrame({f"count_{n}": generator.integers(0, 10_000_000, 150_000) for n in range(10)})
    means = pl.DataFrame({f"mean_{n}": generator.normal(size=200_000) for n in range(12)})
    counts.write_csv(folder / "counts.csv")
    means.write_csv(folder / "means.csv", float_precision=9)
    means.write_parquet(folder / "means.parquet")
    (folder / "means.csv.gz").write_bytes(gzip.compress((folder / "means.csv").read_bytes(), 3))
    tensors = {f"layer_{n}": generator.normal(size=(64, 64, 3, 3, 3)).astype(np.float32) for n in range(100)}
    save_file(tensors, folder / "model.safetensors")
    (folder / "drawn.bin").write_bytes(generator.bytes(40_000_000))
    with zipfile.ZipFile(folder / "code.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for path in sorted((folder / "code").rglob("*.py")):
            archive.write(path, str(path.relative_to(folder)))
        archive.write(folder / "means.csv", "means.csv")


def _require_whole(check: ReleaseCheck, num_bytes: int) -> None:
    assert check.num_bytes == num_bytes, "a file was not read to its end"


@contextmanager
def _silent(what: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None
