"""The measurement of each kind of change, on a small batch."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.augment_kinds import PUBLIC_MS, main
from mmdata.augment.parameters import KINDS


def test_each_kind_is_measured_and_the_results_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.augment_kinds.REPEATS", 1)
    options = ["--device", "cpu", "--batch-size", "2", "--side", "12", "--json", str(tmp_path / "kinds.json")]
    monkeypatch.setattr(sys, "argv", ["augment_kinds", *options])
    main()
    found = json.loads((tmp_path / "kinds.json").read_text())
    assert set(found["ms_per_batch"]) == {*KINDS, "affine", "mixture"}
    assert set(PUBLIC_MS) <= set(found["ms_per_batch"])
    assert all(ms["apply"] >= ms["launch"] >= 0 for ms in found["ms_per_batch"].values())
    assert (found["batch_size"], found["side"], found["public_ms"]) == (2, 12, None)
