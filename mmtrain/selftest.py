"""Train a tiny network on each kind of input and target, with the label as the input, and see that it is found.

No study is needed: arrays of random numbers and a cohort are made in a temporary folder, which goes in any case.
"""

import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from mmbase.checksums import write_checked_table
from mmbase.names import INPUTS, METADATA, VOLUME_MODALITIES
from mmbase.plain_table import PlainTable, plain_table
from mmdata.store.array import open_array
from mmdata.store.schema import EDGE_DIMENSIONS, VOLUME_DIMENSIONS, StudyLayout
from mmdata.store.spec import ArraySpec, ensure_array
from mmtrain.config.run import RunConfig, parse_run_config
from mmtrain.diagnostic import WiringVerdict, judge_wiring
from mmtrain.page.live import without_page
from mmtrain.run import RunDirectory, create_run, environment
from mmtrain.train import train

SIDE, NUM_EDGES, NUM_FEATURES = 8, 24, 4
NUM_SAMPLES = {"train": 384, "val": 24, "test": 24}
_ROWS_PER_SHARD = 32
_CONNECTIVITY_NAME = "selftest"
_FEATURES = tuple(f"feature{number}" for number in range(1, NUM_FEATURES + 1))
_SETTINGS: Mapping[str, Any] = {
    "side": SIDE,
    "connectivity": _CONNECTIVITY_NAME,
    "channels": (4, 8),
    "augment": "none",
    "copies": 0,
    "calibration_samples": 192,
    "batch_size": 32,
    "learning_rate": 1e-2,
    "schedule": "cosine",
    "diagnostic": True,
}
"""Little work, and large steps that end small."""
_TARGETS: Mapping[str, Mapping[str, Any]] = {
    "classification": {"target": "class", "kind": "classification", "epochs": 3},
    "regression": {"target": "number", "kind": "regression", "epochs": 20},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfTestCase:
    """A kind of target that is to be found in some inputs."""

    inputs: tuple[str, ...]
    kind: str

    @property
    def name(self) -> str:
        """Return the input, or that it is all of them."""
        return self.inputs[0] if len(self.inputs) == 1 else "all together"


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfTestResult:
    """What came of one case."""

    case: SelfTestCase
    verdict: WiringVerdict

    def to_json(self) -> dict[str, Any]:
        """Return one entry of `mm selftest --json`."""
        return {"input": self.case.name, "inputs": list(self.case.inputs), **self.verdict.to_json()}


def selftest_cases() -> list[SelfTestCase]:
    """Return every input by itself and all together, each with both kinds of target."""
    sets: list[tuple[str, ...]] = [*((name,) for name in INPUTS), INPUTS]
    return [SelfTestCase(inputs=inputs, kind=kind) for inputs in sets for kind in _TARGETS]


def run_selftest(device: str, on_case: Callable[[int, int], None] = lambda _done, _all: None) -> list[SelfTestResult]:
    """Train a network for each case; what is made on the way is removed, also when it is interrupted.

    Parameters
    ----------
    device
        As `--device` of `mm train`.
    on_case
        Called with the number of cases that are done, and of all.

    Raises
    ------
    TrainError
        The device is not there, or a case cannot be trained.
    mmtrain.stopping.TrainingStopped
        A signal asked for it.
    """
    cases = selftest_cases()
    results = []
    with tempfile.TemporaryDirectory(prefix="mm-selftest-") as folder:
        layout = StudyLayout(Path(folder))
        _write_arrays(layout)
        for done, case in enumerate(cases):
            on_case(done, len(cases))
            config = _configure(case, device)
            metrics = train(_begin(layout, config), layout, config, keep_page=without_page)
            (verdict,) = judge_wiring(metrics, config.data.targets)
            results.append(SelfTestResult(case=case, verdict=verdict))
        on_case(len(cases), len(cases))
    return results


def result_table(results: Sequence[SelfTestResult]) -> PlainTable:
    """Show what came of each case."""
    rows = []
    for result in results:
        verdict = result.verdict
        numbers = (f"{verdict.expected:.2f}", f"{verdict.got:.4f}")
        rows.append((result.case.name, verdict.kind, verdict.metric, *numbers, "yes" if verdict.ok else "NO"))
    return plain_table(("input", "target", "metric", "expected", "got", "ok"), rows)


def describe_machine(device: torch.device) -> dict[str, str]:
    """Return the name of the device and the versions of what computes."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    return {"device": f"{device} ({name})", "system": f"{platform.system()} {platform.release()}", **environment()}


def _configure(case: SelfTestCase, device: str) -> RunConfig:
    features = _FEATURES if METADATA in case.inputs else ()
    return parse_run_config(
        {
            **_SETTINGS,
            **_TARGETS[case.kind],
            "inputs": case.inputs,
            "features": features,
            "shown_features": features,
            "metadata_blocks": ("selftest",) if features else (),
            "device": device,
        }
    )


def _begin(layout: StudyLayout, config: RunConfig) -> RunDirectory:
    """Make a run's directory, with a cohort of all samples whose labels and features are random."""
    rng = np.random.default_rng(config.optimisation.seed)
    splits = [split for split, number in NUM_SAMPLES.items() for _ in range(number)]
    num = len(splits)
    labels = np.tile([0.0, 1.0], num // 2) if config.kind == "classification" else rng.uniform(45.0, 80.0, num)
    cohort = pl.DataFrame(
        {
            "sample_id": [f"{row:016x}" for row in range(num)],
            "row": range(num),
            "split": splits,
            "target": labels,
            "augmented": [split == "train" for split in splits],
            **{f"feature_{name}": rng.normal(size=num) for name in _FEATURES},
        }
    )
    run = create_run(layout.runs, config)
    write_checked_table(run.cohort, cohort)
    return run


def _write_arrays(layout: StudyLayout) -> None:
    """Write volumes and edges of random numbers, of which no label can be told."""
    rng = np.random.default_rng(0)
    num = sum(NUM_SAMPLES.values())
    for modality in VOLUME_MODALITIES:
        volumes = rng.integers(0, 60_000, (num, SIDE, SIDE, SIDE), dtype=np.uint16)
        _store(layout.volume_array(modality, SIDE), volumes, VOLUME_DIMENSIONS)
    edges = rng.normal(size=(num, NUM_EDGES)).astype(np.float32)
    _store(layout.connectivity_array(_CONNECTIVITY_NAME), edges, EDGE_DIMENSIONS)


def _store(path: Path, values: NDArray[Any], dimensions: tuple[str, ...]) -> None:
    ensure_array(
        ArraySpec(
            path=path,
            shape=values.shape,
            row_axis=0,
            rows_per_shard=_ROWS_PER_SHARD,
            dtype="uint16" if values.dtype == np.uint16 else "float32",
            codec="zstd",
            dimensions=dimensions,
        )
    )
    array = open_array(path)
    for start in range(0, len(values), _ROWS_PER_SHARD):
        array.write_shard(start, values[start : start + _ROWS_PER_SHARD])
