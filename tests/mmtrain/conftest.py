"""A study of tiny samples to train on, and ranks that start at once."""

import importlib
import json
import multiprocessing
import pickle
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from matplotlib.image import imread
from torch.distributed import TCPStore

from mmdata.store.array import open_array
from mmdata.store.chunks import ChunkReader
from mmdata.store.schema import AUGMENTED_DIMENSIONS, EDGE_DIMENSIONS, VOLUME_DIMENSIONS, StudyLayout
from mmdata.store.spec import ArraySpec, ensure_array
from mmdata.study import create_study, parse_config
from mmtrain.config.run import RunConfig, parse_run_config
from mmtrain.data.cohort import read_cohort
from mmtrain.observer import TrainingObserver
from mmtrain.page.live import PageKeeper, without_page
from mmtrain.run import RunDirectory, create_run
from mmtrain.state import EpochEntry
from mmtrain.task import Task, prepare_task
from mmtrain.train import train

SIDE, EDGES, ROWS_PER_SHARD = 8, 12, 8
SPLITS = ["train"] * 26 + ["val"] * 7 + ["test"] * 7
"""Batches of 8 leave unequal ends in every split, for any number of ranks."""
RANK_PROCESS = str(Path(__file__).with_name("rank_process.py"))
SETTINGS: dict[str, Any] = {
    "target": "age",
    "kind": "regression",
    "unit": "years",
    "channels": (4, 4),
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 3e-3,
    "device": "cpu",
}


@dataclass(frozen=True)
class TinyStudy:
    """Forty samples: t1 and connectivity as bright as the person is old, flair noise, two copies of both volumes."""

    layout: StudyLayout
    ages: np.ndarray
    classes: np.ndarray
    splits: list[str]
    side: int

    @property
    def two_targets(self) -> dict[str, Any]:
        """Return what to begin a run with that predicts age and sex, every fourth label of which is missing."""
        ages = [None if i % 4 == 1 else float(age) for i, age in enumerate(self.ages)]
        classes = [None if i % 4 == 3 else float(label) for i, label in enumerate(self.classes)]
        kinds = {"age": ("regression", "years"), "sex": ("classification", "1 male")}
        return {
            "labels": {"target_age": ages, "target_sex": classes},
            "targets": [{"name": name, "kind": kind, "unit": unit} for name, (kind, unit) in kinds.items()],
        }

    def configure(self, **settings: Any) -> RunConfig:
        """Return the settings of a run with the tiny defaults."""
        return parse_run_config(SETTINGS | {"side": self.side} | settings)

    def begin(self, labels: Mapping[str, Sequence[float | None]] | None = None, **settings: Any) -> RunDirectory:
        """Make a run's directory with a cohort of all samples and two features.

        Parameters
        ----------
        labels
            Columns of the cohort; left out: `target`, the age or the class.
        """
        config = self.configure(**settings)
        run = create_run(self.layout.runs, config)
        num = len(self.splits)
        pl.DataFrame(
            {
                "sample_id": [f"{i:016x}" for i in range(num)],
                "row": range(num),
                "split": self.splits,
                **(labels or {"target": self.ages if config.kind == "regression" else self.classes}),
                "augmented": [split == "train" for split in self.splits],
                "feature_LDL": [None if i % 5 == 0 else float(self.ages[i]) for i in range(num)],
                "feature_sex": self.classes,
            }
        ).write_parquet(run.cohort)
        return run

    def prepare(self, labels: Mapping[str, Sequence[float | None]] | None = None, **settings: Any) -> Task:
        """Begin a run and return what it computes with."""
        run = self.begin(labels, **settings)
        return prepare_task(read_cohort(run.cohort), self.layout, self.configure(**settings))

    def train(
        self,
        labels: Mapping[str, Sequence[float | None]] | None = None,
        *,
        keep_page: PageKeeper = without_page,
        **settings: Any,
    ) -> RunDirectory:
        """Begin a run and train it to its end; a page takes half of the time, so there is none unless asked for."""
        run = self.begin(labels, **settings)
        train(run, self.layout, self.configure(**settings), keep_page=keep_page)
        return run

    def metrics(self, run: RunDirectory) -> dict[str, Any]:
        """Return what metrics.json holds without what differs from time to time."""
        return {name: value for name, value in json.loads(run.metrics.read_text()).items() if name != "minutes"}

    def epochs(self, run: RunDirectory) -> list[dict[str, Any]]:
        """Return the entries of metrics.jsonl without what differs from time to time."""
        timings = {"train_seconds", "samples_per_second", "wait_share", "ranks"}
        entries = [json.loads(line) for line in run.epochs.read_text().splitlines()]
        return [{name: value for name, value in entry.items() if name not in timings} for entry in entries]


@dataclass(frozen=True)
class StopAfter(TrainingObserver):
    """Presses Ctrl-C twice when an epoch is done."""

    epoch: int

    def on_epoch(self, entry: EpochEntry) -> None:
        if entry["epoch"] == self.epoch:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Such small networks only wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_tiny_study(
    root: Path, splits: Sequence[str] = SPLITS, side: int = SIDE, *, with_dwi: bool = False
) -> TinyStudy:
    """Write the stores of a study without any source; dwi, where it is wanted, is noise too."""
    layout = create_study(root, parse_config({"salt": "salt-of-a-tiny-study"}, "test")).layout
    rng = np.random.default_rng(7)
    num = len(splits)
    ages = rng.uniform(45, 80, num)
    t1 = ((ages - 40) / 45)[:, None, None, None] * rng.uniform(0.8, 1.0, (num, side, side, side)) * 65535
    noise = {name: rng.uniform(0, 65535, t1.shape) for name in ("flair", *["dwi"] * with_dwi)}
    for modality, volumes in {"t1": t1, **noise}.items():
        _store(layout.volume_array(modality, side), volumes.astype(np.uint16), VOLUME_DIMENSIONS)
        copies = np.stack([volumes * 0.9, volumes * 0.8]).astype(np.uint16)
        _store(layout.augmented_array(modality, side), copies, AUGMENTED_DIMENSIONS)
    edges = ((ages - 60) / 20)[:, None] + rng.normal(0, 0.1, (num, EDGES))
    _store(layout.connectivity_array("glasser360"), edges.astype(np.float32), EDGE_DIMENSIONS)
    return TinyStudy(layout, ages, np.tile([0.0, 0.0, 1.0, 0.0], num // 4), list(splits), side)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyStudy:
    """A tiny study; tests add runs to it."""
    return make_tiny_study(tmp_path_factory.mktemp("tiny") / "study")


@pytest.fixture
def fresh_tiny(tmp_path: Path) -> TinyStudy:
    """A tiny study to damage."""
    return make_tiny_study(tmp_path / "study")


def _store(path: Path, values: np.ndarray, dimensions: tuple[str, ...]) -> None:
    axis = dimensions.index("sample")
    ensure_array(
        ArraySpec(
            path=path,
            shape=values.shape,
            row_axis=axis,
            rows_per_shard=ROWS_PER_SHARD,
            dtype=values.dtype.name,  # type: ignore[arg-type]
            codec="zstd",
            dimensions=dimensions,
        )
    )
    array = open_array(path)
    for copy in range(len(values)) if axis else [None]:
        rows = values if copy is None else values[copy]
        for start in range(0, len(rows), ROWS_PER_SHARD):
            array.write_shard(start, rows[start : start + ROWS_PER_SHARD], copy=copy)


AddModule = Callable[[ModuleType, str, str], Path]


@pytest.fixture
def add_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddModule:
    """Add a module to a package, as a new file in its folder would; return the folder that holds it."""

    def add(package: ModuleType, name: str, text: str) -> Path:
        folder = tmp_path / package.__name__
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)
        importlib.invalidate_caches()
        return folder

    return add


@pytest.fixture(scope="session")
def require_picture() -> Callable[[Path], None]:
    """Fail if a file is not a picture with something on it."""

    def require(path: Path) -> None:
        assert path.read_bytes().startswith(b"\x89PNG")
        pixels = imread(path)[..., :3]
        assert min(pixels.shape[:2]) > 300
        assert pixels.var() > 0.001
        assert len(np.unique(pixels.reshape(-1, 3).round(2), axis=0)) > 10

    return require


@dataclass(frozen=True)
class RunningRanks:
    """Processes that have been started, and where each leaves its result."""

    processes: list[BaseProcess]
    results: list[Path]
    """Beside each, with the suffix .error, what it would tell torchrun of its failure."""
    stores: list[TCPStore]
    """Where the ranks meet, for each run that they train; torchrun keeps it otherwise."""

    def wait(self, seconds: float = 600.0) -> list[Any]:
        """Return what each rank returned; None of one that was killed."""
        for process in self.processes:
            process.join(seconds)
            if process.is_alive():
                self.kill()
                pytest.fail(f"rank {self.processes.index(process)} did not end within {seconds:g} s")
        return [pickle.loads(path.read_bytes()) if path.exists() else None for path in self.results]

    def end(self) -> None:
        """End all that still run, as torchrun does when one has failed."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.join(30)
        self.kill()

    def kill(self) -> None:
        """Kill all that still run."""
        for process in self.processes:
            process.kill()
            process.join()


StartRanks = Callable[..., RunningRanks]
OnRanks = Callable[..., list[Any]]


@pytest.fixture(scope="session")
def start_ranks(tmp_path_factory: pytest.TempPathFactory) -> StartRanks:
    """Start a job of rank_process.py on ranks, forked from a process that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mmtrain.train", "torch._dynamo"])  # optimisers import the latter

    def start(size: int, job: str, **arguments: Any) -> RunningRanks:
        folder = tmp_path_factory.mktemp("ranks")
        stores = [
            TCPStore("localhost", 0, is_master=True, wait_for_workers=False, timeout=timedelta(minutes=10))
            for _ in arguments.get("runs", [None])
        ]
        ports = [str(store.port) for store in stores]
        processes, results = [], []
        for rank in range(size):
            environment = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PORTS": " ".join(ports)}
            if size > 1:
                environment |= {
                    "TORCHELASTIC_RUN_ID": "test",
                    "TORCHELASTIC_USE_AGENT_STORE": "True",
                    "TORCHELASTIC_ERROR_FILE": str(folder / f"{rank}.error"),
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(size),
                    "MASTER_ADDR": "localhost",
                    "MASTER_PORT": ports[0],
                }
            given = {"job": job, "arguments": arguments, "environment": environment, "path": folder / str(rank)}
            process = context.Process(target=runpy.run_path, args=(RANK_PROCESS, {"GIVEN": given}, "__rank__"))
            process.start()
            processes.append(process)
            results.append(folder / str(rank))
        return RunningRanks(processes, results, stores)

    return start


@pytest.fixture(scope="session")
def on_ranks(start_ranks: StartRanks) -> OnRanks:
    """Do a job of rank_process.py on ranks and return what each returns; fail if one fails."""

    def do(size: int, job: str, **arguments: Any) -> list[Any]:
        results = start_ranks(size, job, **arguments).wait()
        for result in results:
            if isinstance(result, Exception) or result is None:
                pytest.fail(f"a rank of {job} failed: {result}")
        return results

    return do


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the number of rows of each read from a store, in its order."""
    reads: list[int] = []
    start_read = ChunkReader.start_read

    def counted(reader: ChunkReader, indices: np.ndarray, out: np.ndarray, targets: np.ndarray) -> object:
        reads.append(len(indices))
        return start_read(reader, indices, out, targets)

    monkeypatch.setattr(ChunkReader, "start_read", counted)
    return reads
