import shutil
from pathlib import Path

import pytest

from benchmarks.many_runs import STEPS, TARGETS, live, race_commands, race_epochs
from mmstudy.settings import load_study
from mmtrain.kept import HOST, Kept


def test_a_short_run_is_timed_in_all_its_steps(study: Path) -> None:
    kept = Kept()
    seconds = live(load_study(study), "age", kept, "flair")
    assert seconds.keys() == {*STEPS, "overhead"}
    assert 0 < seconds["overhead"] < sum(seconds[step] for step in STEPS)
    assert kept.rows[HOST].held_bytes


def test_epochs_are_raced_from_the_stores_and_from_memory(tmp_path: Path) -> None:
    times = race_epochs(tmp_path, 8, 20, repeats=2)
    assert {name: len(of_name) for name, of_name in times.items()} == {"stream": 2, "memory": 2}


def test_short_runs_are_raced_as_commands_and_as_a_sweep(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(study, tmp_path / "study"))
    monkeypatch.setattr("benchmarks.many_runs.TARGETS", TARGETS[:1])
    monkeypatch.setattr("benchmarks.many_runs.VOLUMES", ("flair",))
    before = len(list((root / "runs").glob("*")))
    seconds = race_commands(root)
    assert seconds.keys() == {"separate", "sweep"}
    assert len(list((root / "runs").glob("*/metrics.json"))) == before + 2
