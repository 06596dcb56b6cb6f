"""The training step in every precision and compiled in every mode: what only a GPU can tell.

``python -m benchmarks.train_variants --folder FOLDER --output FILE.json`` is prepared; no figure of it is published.
Every variant runs in a process of its own with a time limit, for a driver may take minutes over one of them, and each
finding is saved at once. Losses of the first steps tell whether a variant computes the same as the first of its kind.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.cohort import make_cohort
from benchmarks.device import answer_in_time
from benchmarks.device_parts import Findings
from mmbase.files import write_json
from mmtrain.bench.batches import first_batch, hold, in_mode
from mmtrain.convolution_check import compare, find_cases
from mmtrain.data.stream import StoredBatch
from mmtrain.device import wait_for
from mmtrain.learner import build_learner, take_step

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16 compiled": {"precision": "bfloat16", "compile": True},
    "bfloat16 graph": {"precision": "bfloat16", "compile": True, "compile_mode": "reduce-overhead"},
    "bfloat16 autotuned": {"precision": "bfloat16", "compile": True, "compile_mode": "max-autotune"},
    "float32": {"precision": "float32"},
    "tf32": {"precision": "tf32"},
    "float16": {"precision": "float16"},
}
NUM_LOSSES = 5


def measure_variant(
    folder: Path, settings: Mapping[str, Any], *, side: int, batch_size: int, num_steps: int
) -> Findings:
    """Yield how long the first step takes, the first losses, how fast steps are, and how convolutions compare."""
    cohort = make_cohort(folder, side, 4 * batch_size)
    started = time.perf_counter()
    task = in_mode(cohort.prepare(**{"batch_size": batch_size, "inputs": ("flair", "t1", "dwi"), **settings}), "none")
    learner = build_learner(task)
    learner.network.train()
    (portion,) = first_batch(task)
    held = hold(task, portion)
    batch = StoredBatch(held.request, {name: stored.to(task.device) for name, stored in held.stored.items()})
    losses = []
    for step in range(NUM_LOSSES):
        torch.manual_seed(step)
        losses.append(take_step(task, learner, portion, batch, 1).item() / batch_size)
        if step == 0:
            yield "first_step_s", round(time.perf_counter() - started, 2)
    yield "losses", losses
    started = time.perf_counter()
    for _ in range(num_steps):
        take_step(task, learner, portion, batch, 1)
    wait_for(task.device)
    yield "samples_per_second", round(num_steps * batch_size / (time.perf_counter() - started), 2)
    compared = [compare(case, task.arithmetic, task.device) for case in find_cases(task, learner.network)]
    yield (
        "convolutions",
        [{"case": str(found.case), "error": found.error, "slowdown": round(found.slowdown, 3)} for found in compared],
    )


def measure_variants(
    folder: Path, output: Path, names: Sequence[str], *, device: str, limit_s: float, **sizes: Any
) -> dict[str, Any]:
    """Measure variants one after the other; write whatever there is at once."""
    measured: dict[str, Any] = {}
    for name in names:
        measured[name] = {}
        settings = {**VARIANTS[name], "device": device}
        answer = partial(measure_variant, folder / name.replace(" ", "-"), settings, **sizes)
        for finding, value in answer_in_time(answer, limit_s):
            measured[name][finding] = value
            write_json(output, measured)
    return measured


def main() -> None:
    """Measure what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--num-steps", type=int, default=50)
    parser.add_argument("--limit-s", type=float, default=120.0)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    sizes = {"side": given.side, "batch_size": given.batch_size, "num_steps": given.num_steps}
    measured = measure_variants(
        given.folder, given.output, given.variants, device=given.device, limit_s=given.limit_s, **sizes
    )
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
