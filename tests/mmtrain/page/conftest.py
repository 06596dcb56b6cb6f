"""Four runs that a reader must be able to tell apart, built once."""

from pathlib import Path

import numpy as np
import pytest

from mmtrain.page.page import write_page
from mmtrain.run import RunDirectory
from tests.mmtrain.page.builder import SIZES, build_run, classes, good_history, history, scores


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDirectory]:
    """A good run, an overfitted one, one with swapped labels and one that decides for a single class, with pages."""
    root = tmp_path_factory.mktemp("runs")
    built = build_four(root)
    for run in built.values():
        write_page(run, "finished")
    return built


def build_four(root: Path) -> dict[str, RunDirectory]:
    sizes = {split: n for split, n in SIZES.items() if split != "train"}
    even = {split: classes(n, 10 + len(split)) for split, n in sizes.items()}
    rare = {split: classes(n, 10 + len(split), 0.1) for split, n in sizes.items()}

    def predict(truth: dict[str, np.ndarray], effect: float, shift: float = 0.0) -> dict[str, np.ndarray]:
        return {split: scores(labels, effect, 20 + len(split), shift) for split, labels in truth.items()}

    swapped = predict(even, 1.5)
    swapped["test"] = 1 - swapped["test"]
    steps = np.arange(1, 33)
    overfitted = history(
        0.68 * np.exp(-steps / 7) + 0.01, 0.6 + 0.015 * np.abs(steps - 2), values=0.72 - 0.001 * np.abs(steps - 2)
    )
    finding = {
        "code": "similar-scans",
        "severity": "warning",
        "subject": "t1",
        "message": "1 pair of t1 scans is similar (similarity 0.97, e.g. samples 0123456789abcdef, 00ff).",
        "remedy": "Look at both in mm qc.",
        "num_samples": 2,
    }
    return {
        "good": build_run(root / "good", even, predict(even, 1.5), good_history(), audit=[finding]),
        "overfitted": build_run(root / "overfitted", even, predict(even, 0.8), overfitted),
        "swapped": build_run(root / "swapped", even, swapped, good_history()),
        "single": build_run(root / "single", rare, predict(rare, 1.5, -2.5), good_history(), balance="none"),
    }
