"""Run every benchmark and write `results.json`: ``python -m benchmarks``, or ``make bench``.

With names (augment, ingest, stream, tables) only those are run; what the others found before stays in the file.
"""

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.augment import bench_augment
from benchmarks.ingest import (
    NUM_ARCHIVES,
    SCALED_SCANS,
    WHAT_EACH_DOES,
    ingest_ratios,
    make_ingest_material,
    measure_ingest,
    measure_scaling,
)
from benchmarks.ingest import (
    REPEATS as INGEST_REPEATS,
)
from benchmarks.material import make_material
from benchmarks.stream import BATCH_SIZE, NUM_CORES, REPEATS, measure_streams, require_equal_batches
from benchmarks.tables import bench_tables
from mmdata.allocator import keep_freed_memory

RESULTS = Path(__file__).parent / "results.json"
PARTICIPANTS = 80
Findings = tuple[dict[str, Any], dict[str, float]]
"""What was measured, and the ratios."""


def main() -> None:
    """Measure, print, and write the results beside this file."""
    benchmarks: dict[str, Callable[[Path], Findings]] = {
        "augment": bench_augment,
        "ingest": bench_ingest,
        "stream": bench_stream,
        "tables": bench_tables,
    }
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"ratios": {}}
    results["machine"] = describe_machine()
    for name in sys.argv[1:] or benchmarks:
        with tempfile.TemporaryDirectory() as folder:
            results[name], ratios = benchmarks[name](Path(folder))
        results["ratios"] = {**results["ratios"], **ratios}
        print(json.dumps(ratios, indent=2))
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def bench_ingest(folder: Path) -> Findings:
    """Measure the ingest of 1 mm T1 archives."""
    material = make_ingest_material(folder)
    times = measure_ingest(material, folder)
    scaling = measure_scaling(material, folder)
    measured = {
        "archives": NUM_ARCHIVES,
        "repeats": INGEST_REPEATS,
        "median_ms_per_scan": {name: round(median(ms), 1) for name, ms in times.items()},
        "all_ms_per_scan": {name: [round(value, 1) for value in ms] for name, ms in times.items()},
        "scaled_scans": SCALED_SCANS,
        "scans_per_second": {
            f"{number} workers, {phase}": [round(value, 2) for value in getattr(speeds, phase)]
            for number, speeds in scaling.items()
            for phase in ("steady", "whole")
        },
        "what_each_does": WHAT_EACH_DOES,
    }
    return measured, ingest_ratios(times, scaling)


def bench_stream(folder: Path) -> Findings:
    """Measure the streaming of training batches."""
    keep_freed_memory()  # for every contender, as mm train does
    material = make_material(folder, PARTICIPANTS)
    cache = folder / "persistent"
    require_equal_batches(material, cache)
    timings, megabytes = measure_streams(material, cache)
    ms = {name: timing.median_ms for name, timing in timings.items()}
    persistent_ms = min(ms["persistent_here"], ms["persistent_workers"])
    measured = {
        "samples": len(material.rows),
        "batch_size": BATCH_SIZE,
        "threads_or_workers": NUM_CORES,
        "repeats": REPEATS,
        "median_ms_per_volume": {name: round(value, 4) for name, value in ms.items()},
        "all_ms_per_volume": {name: [round(v, 4) for v in t.repeats_ms] for name, t in timings.items()},
        "megabytes_on_disk": {name: round(value, 1) for name, value in megabytes.items()},
    }
    ratios = {
        "stream_vs_reference": round(ms["reference"] / ms["stream"], 2),
        "stream_vs_persistent_dataset": round(persistent_ms / ms["stream"], 2),
        "stream_as_floats_vs_reference": round(ms["reference"] / ms["stream_as_floats"], 2),
        "stream_as_floats_vs_persistent_dataset": round(persistent_ms / ms["stream_as_floats"], 2),
        "stream_vs_decode_limit": round(ms["limit"] / ms["stream"], 3),
    }
    return measured, ratios


def describe_machine() -> dict[str, Any]:
    """Return the processor and the versions that the figures depend on."""
    packages = ("torch", "monai", "torchio", "SimpleITK", "tensorstore", "zarr")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
