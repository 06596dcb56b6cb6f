"""A run's directory: what lies where, written so that a kill never leaves half a file."""

import fcntl
import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmdata.store.array import sync_directory
from mmtrain.config import TrainConfig, parse_train_config
from mmtrain.errors import TrainError

_RECORDED_PACKAGES = ("mm", "torch", "numpy", "numcodecs", "google-crc32c", "tensorstore", "scikit-learn")


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Where the parts of one run lie."""

    path: Path

    @property
    def run_id(self) -> str:
        """Name of the run."""
        return self.path.name

    @property
    def config(self) -> Path:
        """Settings and the versions of what computed."""
        return self.path / "config.json"

    @property
    def cohort(self) -> Path:
        """The frozen samples."""
        return self.path / "cohort.parquet"

    @property
    def metrics(self) -> Path:
        """Validation and test metrics; its existence says that the run is finished."""
        return self.path / "metrics.json"

    @property
    def epochs(self) -> Path:
        """One line for each epoch."""
        return self.path / "metrics.jsonl"

    @property
    def predictions(self) -> Path:
        """Truth and prediction of every validation and test sample."""
        return self.path / "predictions.parquet"

    @property
    def withdrawn(self) -> Path:
        """How many of the cohort have withdrawn since; there only if some have."""
        return self.path / "withdrawn.json"

    @property
    def model(self) -> Path:
        """Weights of the best epoch."""
        return self.path / "model.safetensors"

    @property
    def model_card(self) -> Path:
        """What the weights expect as input and what their output means."""
        return self.path / "model.json"

    @property
    def checkpoint(self) -> Path:
        """State after the last checkpoint."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def plots(self) -> Path:
        """Pictures."""
        return self.path / "plots"

    @property
    def tensorboard(self) -> Path:
        """Event files."""
        return self.path / "tensorboard"


def create_run(runs: Path, config: TrainConfig, *, findings: Sequence[Mapping[str, Any]] = ()) -> RunDirectory:
    """Make the directory of a new run, named after its target, its inputs and the time.

    Parameters
    ----------
    findings
        What the audit of the labels found and the user accepted, for the record.
    """
    stem = f"{config.target}_{'-'.join(config.inputs)}_{datetime.now(UTC):%Y%m%d-%H%M%S}"
    for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
        path = runs / (stem + suffix)
        try:
            path.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            continue
        for part in ("checkpoints", "plots", "tensorboard"):
            (path / part).mkdir(mode=0o700)
        run = RunDirectory(path)
        write_json(run.config, {"train": config.to_json(), "environment": _environment(), "audit": list(findings)})
        return run
    raise TrainError(f"A thousand runs were started in one second in {runs}.")


def find_run(runs: Path, run_id: str) -> tuple[RunDirectory, TrainConfig]:
    """Return an existing run and its settings.

    Raises
    ------
    TrainError
        There is none of that name.
    """
    run = RunDirectory(runs / run_id)
    if not run.config.exists():
        known = sorted(path.name for path in runs.glob("*") if path.is_dir())
        raise TrainError(f"There is no run {run_id!r}. Known runs: {', '.join(known) or 'none'}.")
    return run, parse_train_config(json.loads(run.config.read_text(encoding="utf-8"))["train"])


@contextmanager
def hold_run(run: RunDirectory) -> Iterator[None]:
    """Keep others from training the same run while a block lasts; a kill lets go too.

    Raises
    ------
    TrainError
        Another process trains it.
    """
    with (run.checkpoint.parent / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainError(f"Run {run.run_id} is being trained already, by another process.") from error
        yield


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file in one step."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def write_json_lines(path: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Write a file of one JSON object a line in one step."""
    write_atomically(path, "".join(json.dumps(entry) + "\n" for entry in entries).encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either the old one or the new one, whole and on the disk."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def _environment() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in _RECORDED_PACKAGES}}
