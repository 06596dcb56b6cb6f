"""What the comparison of made-up runs is timed on."""

from pathlib import Path

import pytest

from benchmarks.comparison import make_runs
from benchmarks.made_study import make_labelled_study
from mmstudy.comparison.origins import compare_sweep
from mmstudy.sweep.directory import find_sweep


def test_made_up_runs_are_compared_like_any(tmp_path: Path) -> None:
    study = make_labelled_study(tmp_path / "study", 400)
    assert make_runs(study, ("age", "sex")) == 14
    comparison = compare_sweep(study, find_sweep(study.layout, None), pytest.fail)
    assert comparison.counts["models"] == 14
    assert set(comparison.paired["target"]) == {"age", "sex"}
    assert not (comparison.refused or comparison.untested)
