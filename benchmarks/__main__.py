"""Run every benchmark and write `results.json`: ``python -m benchmarks``, or ``make bench``.

With names (augment, baselines, comparison, ingest, many_runs, release_check, run_life, stream, tables, train) only
those are run; what the others found before stays in the file.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.augment import bench_augment
from benchmarks.baselines import bench_baselines
from benchmarks.comparison import bench_comparison
from benchmarks.ingest import (
    NUM_ARCHIVES,
    SCALED_SCANS,
    WHAT_EACH_DOES,
    ingest_ratios,
    make_ingest_fixtures,
    measure_ingest,
    measure_scaling,
)
from benchmarks.ingest import (
    REPEATS as INGEST_REPEATS,
)
from benchmarks.machine import describe_machine
from benchmarks.many_runs import bench_many_runs
from benchmarks.release_check import bench_release_check
from benchmarks.run_life import bench_run_life
from benchmarks.stream import bench_stream
from benchmarks.tables import bench_tables
from benchmarks.train import bench_train

PACKAGES = ("torch", "monai", "torchio", "SimpleITK", "tensorstore", "zarr")
RESULTS = Path(__file__).parent / "results.json"
Findings = tuple[dict[str, Any], dict[str, float]]
"""What was measured, and the ratios."""


def main() -> None:
    """Measure, print, and write the results beside this file."""
    benchmarks: dict[str, Callable[[Path], Findings]] = {
        "augment": bench_augment,
        "baselines": bench_baselines,
        "comparison": bench_comparison,
        "ingest": bench_ingest,
        "many_runs": bench_many_runs,
        "release_check": bench_release_check,
        "run_life": bench_run_life,
        "stream": bench_stream,
        "tables": bench_tables,
        "train": bench_train,
    }
    for name in sys.argv[1:] or benchmarks:
        with tempfile.TemporaryDirectory() as folder:
            measured, ratios = benchmarks[name](Path(folder))
        print(json.dumps(ratios, indent=2))
        # Read only now: another call may have written meanwhile.
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"ratios": {}}
        results |= {"machine": describe_machine(PACKAGES), name: measured, "ratios": results["ratios"] | ratios}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def bench_ingest(folder: Path) -> Findings:
    """Measure the ingest of 1 mm T1 archives."""
    fixtures = make_ingest_fixtures(folder)
    times = measure_ingest(fixtures, folder)
    scaling = measure_scaling(fixtures, folder)
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


if __name__ == "__main__":
    main()
