"""Run every benchmark and write `results.json`: ``python -m benchmarks``, or ``make bench``."""

import json
import os
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.material import make_material
from benchmarks.stream import BATCH_SIZE, NUM_CORES, REPEATS, measure_streams, require_equal_batches
from mmdata.allocator import keep_freed_memory

RESULTS = Path(__file__).parent / "results.json"
PARTICIPANTS = 80


def main() -> None:
    """Measure, print, and write the results beside this file."""
    keep_freed_memory()  # for every contender, as mm train does
    with tempfile.TemporaryDirectory() as folder:
        material = make_material(Path(folder), PARTICIPANTS)
        cache = Path(folder) / "persistent"
        require_equal_batches(material, cache)
        timings, megabytes = measure_streams(material, cache)
    ms = {name: timing.median_ms for name, timing in timings.items()}
    persistent_ms = min(ms["persistent_here"], ms["persistent_workers"])
    results = {
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "monai", "tensorstore", "zarr")},
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "stream": {
            "samples": len(material.rows),
            "batch_size": BATCH_SIZE,
            "threads_or_workers": NUM_CORES,
            "repeats": REPEATS,
            "median_ms_per_volume": {name: round(value, 4) for name, value in ms.items()},
            "all_ms_per_volume": {name: [round(v, 4) for v in t.repeats_ms] for name, t in timings.items()},
            "megabytes_on_disk": {name: round(value, 1) for name, value in megabytes.items()},
        },
        "ratios": {
            "stream_vs_reference": round(ms["reference"] / ms["stream"], 2),
            "stream_vs_persistent_dataset": round(persistent_ms / ms["stream"], 2),
            "stream_as_floats_vs_reference": round(ms["reference"] / ms["stream_as_floats"], 2),
            "stream_as_floats_vs_persistent_dataset": round(persistent_ms / ms["stream_as_floats"], 2),
            "stream_vs_decode_limit": round(ms["limit"] / ms["stream"], 3),
        },
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results["stream"]["median_ms_per_volume"], indent=2))  # type: ignore[index]
    print(json.dumps(results["ratios"], indent=2))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
