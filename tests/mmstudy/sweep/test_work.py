"""Workers bring every job of a sweep to its end, whatever becomes of one of them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import Any

import duckdb
import pytest

from mmbase.lock import hold_lock
from mmdata.study import Study
from mmstudy.sweep.begin import begin_sweep
from mmstudy.sweep.directory import SweepDirectory, find_sweep
from mmstudy.sweep.plan import plan_sweep
from mmstudy.sweep.settings import SweepSettings
from mmstudy.sweep.state import JobState, read_state, read_states, write_state
from mmstudy.sweep.status import sweep_status
from mmstudy.sweep.stored_plan import read_plan
from mmstudy.sweep.work import MAX_ATTEMPTS, work
from mmtrain.errors import TrainError
from mmtrain.stopping import TrainingStopped
from tests.conftest import RunMm

FLAIR, DWI = "fusion_age_flair_seed1337", "fusion_age_dwi_seed1337"


def begin(study: Study, **settings: Any) -> SweepDirectory:
    """Begin a sweep of small models of age."""
    asked = {"targets": ("age",), "input_sets": (("flair",), ("dwi",)), "baselines": ("constant",)}
    train = {"epochs": 1, "channels": (2, 2), "augment": "none", "log": ()}
    plan = plan_sweep(study, SweepSettings(**{**asked, "train": train, **settings}))
    return begin_sweep(study, None, plan, (), retry=False)


def do(study: Study, sweep: SweepDirectory) -> list[str]:
    """Work in this process; return what was told."""
    told: list[str] = []
    work(study, sweep, execution={"device": "cpu"}, command="test", parent=None, tell=told.append)
    return told


def outcomes(sweep: SweepDirectory) -> dict[str, str]:
    """Return what became of each job."""
    plan, _ = read_plan(sweep)
    return {name: state.outcome for name, state in read_states(sweep, {job.name: job for job in plan.jobs}).items()}


def test_a_sweep_makes_ordinary_runs_of_the_study_and_makes_none_of_them_twice(own_study: Study) -> None:
    sweep = begin(own_study)
    assert len(do(own_study, sweep)) == 4
    assert set(outcomes(sweep).values()) == {"finished"}
    with duckdb.connect(str(own_study.layout.catalog), read_only=True) as catalog:
        entered = catalog.execute("SELECT inputs, count(*) FROM runs GROUP BY inputs ORDER BY inputs").fetchall()
    assert [number for _, number in entered] == [2, 2]
    assert do(own_study, sweep) == []
    plan, _ = read_plan(sweep)
    status = sweep_status(own_study.layout, sweep, plan)
    assert (status.num_finished, status.num_waiting, status.running, status.failed) == (4, 0, (), ())


def test_runs_keep_what_must_be_equal_of_them_as_it_was_planned(own_study: Study) -> None:
    sweep = begin(own_study)
    do(own_study, sweep)
    plan, _ = read_plan(sweep)
    kept = [
        json.loads((own_study.layout.runs / state.run_id / "config.json").read_text())["comparable"]
        for state in read_states(sweep, {job.name: job for job in plan.jobs}).values()
    ]
    assert {of["participants"]["age"] for of in kept} == {plan.cells[0].population.participants}
    assert len({of["regime"] for of in kept}) == 1


def test_one_job_that_fails_leaves_the_others_and_can_be_done_again(own_study: Study) -> None:
    sweep = begin(own_study, baselines=())
    (chunks,) = own_study.layout.volumes.glob("dwi/32/c")
    chunks.rename(chunks.with_name("elsewhere"))
    told = do(own_study, sweep)
    assert outcomes(sweep) == {FLAIR: "finished", DWI: "failed"}
    assert any("was never stored" in line for line in told)
    chunks.with_name("elsewhere").rename(chunks)
    assert do(own_study, sweep) == []
    plan, accepted = read_plan(sweep)
    begin_sweep(own_study, sweep.name, plan, accepted, retry=True)
    do(own_study, sweep)
    assert outcomes(sweep) == {FLAIR: "finished", DWI: "finished"}


def test_a_job_that_others_hold_is_left_to_them(own_study: Study) -> None:
    sweep = begin(own_study, baselines=())
    with hold_lock(sweep.locks / FLAIR):
        do(own_study, sweep)
        assert outcomes(sweep) == {DWI: "finished"}
    do(own_study, sweep)
    assert outcomes(sweep) == {FLAIR: "finished", DWI: "finished"}


def test_a_job_whose_process_dies_again_and_again_is_given_up(own_study: Study) -> None:
    sweep = begin(own_study, baselines=())
    write_state(sweep, FLAIR, JobState(outcome="begun", attempts=MAX_ATTEMPTS, command="test"))
    write_state(sweep, DWI, JobState(outcome="begun", attempts=MAX_ATTEMPTS, command="another"))
    do(own_study, sweep)
    assert outcomes(sweep) == {FLAIR: "failed", DWI: "finished"}
    state = read_state(sweep, FLAIR)
    assert state is not None
    assert "has died 3 times" in state.error


def test_a_request_to_stop_ends_the_work_before_the_next_job(own_study: Study) -> None:
    sweep = begin(own_study, baselines=())
    sweep.stop.touch()
    with pytest.raises(TrainingStopped):
        do(own_study, sweep)
    assert outcomes(sweep) == {}


def test_what_a_kill_left_of_a_run_that_was_never_whole_is_begun_again(own_study: Study) -> None:
    sweep = begin(own_study, baselines=())
    half = own_study.layout.runs / "age_flair_half"
    half.mkdir(parents=True)
    write_state(sweep, FLAIR, JobState(outcome="begun", run_id=half.name, command="another"))
    do(own_study, sweep)
    assert not half.exists()
    assert outcomes(sweep) == {FLAIR: "finished", DWI: "finished"}


def test_a_study_that_has_changed_since_is_not_mixed_with_what_was_planned(own_study: Study) -> None:
    sweep = begin(own_study, baselines=())
    with duckdb.connect(str(own_study.layout.catalog)) as catalog:
        catalog.execute("UPDATE sample SET split = 'train' WHERE split = 'val' AND row % 2 = 0")
    told = do(own_study, sweep)
    assert ["the study has changed since" in line for line in told] == [True, True], told
    with pytest.raises(TrainError, match="samples have changed since"):
        begin(own_study, baselines=())


def test_a_sweep_of_other_settings_needs_another_name(own_study: Study) -> None:
    begin(own_study)
    with pytest.raises(TrainError, match=r"epochs 1, now 2"):
        begin(own_study, train={"epochs": 2, "channels": (2, 2), "augment": "none", "log": ()})


def test_findings_that_are_accepted_later_are_kept_with_the_sweep(own_study: Study) -> None:
    sweep = begin(own_study)
    plan, _ = read_plan(sweep)
    begin_sweep(own_study, sweep.name, plan, ("one-code",), retry=False)
    begin_sweep(own_study, sweep.name, plan, ("another",), retry=False)
    there, accepted = read_plan(sweep)
    assert accepted == ("one-code", "another")
    assert there.jobs == plan.jobs


def test_a_wrong_setting_is_refused_before_anything_is_kept(own_study: Study) -> None:
    with pytest.raises(TrainError, match="batch_size must be at least 3"):
        begin(own_study, train={"batch_size": 1})
    assert not list(own_study.layout.sweeps.glob("*/plan.json"))


def test_a_sweep_goes_on_by_its_name_alone(own_study: Study, run_mm: RunMm) -> None:
    sweep = begin(own_study, baselines=())
    do(own_study, sweep)
    result = run_mm("--study", own_study.layout.root, "sweep", "--device", "cpu", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["finished"] == 2


def test_a_failed_job_is_tried_again_from_where_its_run_is_and_a_lost_run_is_made_anew(own_study: Study) -> None:
    sweep = begin(own_study, baselines=())
    do(own_study, sweep)
    first, second = (read_state(sweep, name) for name in (FLAIR, DWI))
    assert first is not None
    assert second is not None
    write_state(sweep, FLAIR, replace(first, outcome="failed", error="a disk hiccup"))
    shutil.rmtree(own_study.layout.runs / second.run_id)
    plan, accepted = read_plan(sweep)
    begin_sweep(own_study, sweep.name, plan, accepted, retry=True)
    do(own_study, sweep)
    again, anew = (read_state(sweep, name) for name in (FLAIR, DWI))
    assert again is not None
    assert anew is not None
    assert again.run_id == first.run_id
    assert anew.run_id != second.run_id
    assert outcomes(sweep) == {FLAIR: "finished", DWI: "finished"}


def test_commands_tell_of_a_sweep_and_stop_it(own_study: Study, run_mm: RunMm) -> None:
    root = own_study.layout.root
    assert "has no sweep yet" in run_mm("--study", root, "sweep", "status").output
    sweep = begin(own_study, baselines=())
    result = run_mm("--study", root, "sweep", "status", "--json")
    assert json.loads(result.stdout)["waiting"] == 2
    assert run_mm("--study", root, "sweep", "stop").exit_code == 0
    assert sweep.stop.exists()
    assert find_sweep(own_study.layout, None) == sweep
    with pytest.raises(TrainError, match="There is no sweep 'other'"):
        find_sweep(own_study.layout, "other")


def test_a_sweep_is_watched_until_no_job_is_left(own_study: Study, run_mm: RunMm) -> None:
    sweep = begin(own_study, baselines=())
    write_state(sweep, FLAIR, JobState(outcome="failed", error="of its own"))
    end = Timer(1.0, write_state, (sweep, DWI, JobState(outcome="finished")))
    end.start()
    result = run_mm("--study", own_study.layout.root, "sweep", "status", "--watch", "--json")
    end.join()
    assert "0 of 2 runs finished, 0 running, 1 failed" in result.stderr
    assert json.loads(result.stdout)["finished"] == 1


def test_nothing_of_a_sweep_and_of_its_report_names_a_sample(own_study: Study, run_mm: RunMm) -> None:
    sweep = begin(own_study)
    do(own_study, sweep)
    report = own_study.layout.root / "report.html"
    result = run_mm("--study", own_study.layout.root, "report", "--output", report, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["models"] == 4 and '"runs":"runs"' in report.read_text()
    with duckdb.connect(str(own_study.layout.catalog), read_only=True) as catalog:
        names = [name for (name,) in catalog.execute("SELECT sample_id FROM samples").fetchall()]
    files = [path for path in sweep.path.rglob("*") if path.is_file()]
    assert files
    for path in (*files, report):
        content = Path(path).read_text()
        assert not any(name in content for name in names), path.name
