"""Workers bring every job of a sweep to its end, whatever becomes of one of them."""

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import Any

import duckdb
import pytest

from mmbase.json_text import read_json
from mmbase.lock import hold_lock
from mmdata.study import Study
from mmstudy.sweep import health
from mmstudy.sweep import state as state_module
from mmstudy.sweep import work as module
from mmstudy.sweep.begin import begin_sweep
from mmstudy.sweep.directory import SweepDirectory, find_sweep
from mmstudy.sweep.health import BrokenWorkerError
from mmstudy.sweep.planning import plan_sweep
from mmstudy.sweep.settings import SweepSettings
from mmstudy.sweep.state import JobState, read_state, read_states, write_state
from mmstudy.sweep.status import sweep_status
from mmstudy.sweep.stored_plan import read_plan
from mmstudy.sweep.watch import StopWatch
from mmstudy.sweep.work import MAX_ATTEMPTS
from mmstudy.sweep.worker_process import BROKEN
from mmtrain.checkpoint import read_progress
from mmtrain.errors import TrainError
from mmtrain.observer import EpochPosition
from mmtrain.run import RunDirectory
from mmtrain.stopping import TrainingStopped
from tests.conftest import RunMm
from tests.mmstudy.report.page.test_page import embedded
from tests.mmstudy.sweep.made_sweep import TRAIN, begin, do

LONGER = {**TRAIN, "epochs": 20}
FLAIR, DWI = "fusion_age_flair_seed1337", "fusion_age_dwi_seed1337"


def state_of(sweep: SweepDirectory, job: str) -> JobState:
    """Return what became of a job that was begun."""
    state = read_state(sweep, job)
    assert state is not None
    return state


def stop_after(monkeypatch: pytest.MonkeyPatch, sweep: SweepDirectory, num_steps: int) -> None:
    """Ask the workers of a sweep to stop after so many steps of the first epoch of a run."""

    def on_step(watch: StopWatch, position: EpochPosition) -> None:
        del watch
        if position.steps >= num_steps:
            sweep.stop.touch()
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(StopWatch, "on_step", on_step)


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception, before: Callable[[], object] = lambda: None) -> None:
    """Let every job fail by an error."""

    def fail(*_: object) -> None:
        before()
        raise error

    monkeypatch.setattr(module, "train_job", fail)


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
    runs = [run for run in own_study.layout.runs.iterdir() if (run / "metrics.json").exists()]
    assert len([run for run in runs if (run / "model.safetensors").exists()]) == 4
    assert not list(own_study.layout.runs.glob("*/checkpoints/*.safetensors"))  # nobody resumes them
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
    assert all(of["participants"] == plan.cells[0].population.participants for of in kept)
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
    assert "has died 3 times" in state_of(sweep, FLAIR).error


def test_an_attempt_that_was_asked_to_stop_is_no_death_and_the_run_goes_on_from_its_checkpoint(
    own_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = begin(own_study, input_sets=(("flair",),), baselines=(), train=LONGER)
    with monkeypatch.context() as patched:
        stop_after(patched, sweep, 1)
        for _ in range(MAX_ATTEMPTS + 2):
            sweep.stop.unlink(missing_ok=True)
            with pytest.raises(TrainingStopped):
                do(own_study, sweep)
            state = state_of(sweep, FLAIR)
            assert (state.outcome, state.attempts) == ("begun", 0)
    sweep.stop.unlink()
    do(own_study, sweep)
    assert state_of(sweep, FLAIR).outcome == "finished"
    assert state_of(sweep, FLAIR).run_id == state.run_id


def test_a_job_that_was_further_whenever_its_process_died_is_not_given_up(
    own_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = begin(own_study, input_sets=(("flair",),), baselines=(), train=LONGER)
    with monkeypatch.context() as patched, pytest.raises(TrainingStopped):
        stop_after(patched, sweep, 1)
        do(own_study, sweep)
    sweep.stop.unlink()
    stopped = state_of(sweep, FLAIR)
    progress = read_progress(RunDirectory(own_study.layout.runs / stopped.run_id).checkpoint)
    reached = (progress.epoch, progress.part.steps)
    assert reached > (0, 0)
    write_state(sweep, FLAIR, replace(stopped, attempts=MAX_ATTEMPTS, reached=reached))
    do(own_study, sweep)
    assert state_of(sweep, FLAIR).outcome == "failed"
    write_state(sweep, FLAIR, replace(stopped, attempts=MAX_ATTEMPTS, reached=(0, 0)))
    do(own_study, sweep)
    assert state_of(sweep, FLAIR).outcome == "finished"


def test_a_worker_whose_time_is_over_begins_no_job(own_study: Study) -> None:
    sweep = begin(own_study, baselines=())
    with pytest.raises(TrainingStopped):
        do(own_study, sweep, seconds=0.0)
    assert outcomes(sweep) == {}


def test_a_job_that_another_machine_has_finished_is_not_done_again_where_its_file_is_seen_late(
    own_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plays a client of NFS that takes a file for missing until it asks the server to make it."""
    sweep = begin(own_study, baselines=())
    for name in (FLAIR, DWI):
        write_state(sweep, name, JobState(outcome="finished", run_id="of_another_machine"))
    asked: set[str] = set()

    def open_file(path: Any, flags: int, mode: int = 0o777, **others: Any) -> int:
        if flags & os.O_CREAT:
            asked.add(str(path))
        return plain_open(path, flags, mode, **others)

    def read(path: Path, shape: Any) -> Any:
        if str(path) not in asked:
            raise FileNotFoundError(path)
        return read_json(path, shape)

    plain_open = os.open
    monkeypatch.setattr(os, "open", open_file)
    monkeypatch.setattr(state_module, "read_json", read)
    runs = sorted(own_study.layout.runs.glob("*"))
    assert do(own_study, sweep) == []
    assert sorted(own_study.layout.runs.glob("*")) == runs


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA error: an illegal memory access was encountered"), TrainError("")]
)
def test_a_job_on_a_device_that_broke_is_left_as_begun_and_no_other_is_begun(
    own_study: Study, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    sweep = begin(own_study, baselines=())

    def break_device() -> None:
        def fail(_: object) -> None:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

        monkeypatch.setattr(health, "_compute_on", fail)

    fail_with(monkeypatch, error, break_device)
    with pytest.raises(BrokenWorkerError, match="device cpu cannot be used: CUDA error"):
        do(own_study, sweep)
    assert list(outcomes(sweep).values()) == ["begun"]
    (begun,) = outcomes(sweep)
    assert state_of(sweep, begun).attempts == 1
    with pytest.raises(BrokenWorkerError):
        do(own_study, sweep)  # which sees it before it begins a job
    assert list(outcomes(sweep).values()) == ["begun"]


def test_a_disk_that_goes_while_a_job_is_done_fails_no_job(own_study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = begin(own_study, baselines=())
    away = sweep.plan.with_name("away")
    fail_with(monkeypatch, OSError(errno.ESTALE, "Stale file handle"), lambda: sweep.plan.rename(away))
    with pytest.raises(BrokenWorkerError, match="disk cannot be read"):
        do(own_study, sweep)
    away.rename(sweep.plan)
    assert list(outcomes(sweep).values()) == ["begun"]


def test_files_of_the_sweep_that_cannot_be_written_are_no_jobs_failure(
    own_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = begin(own_study, baselines=())

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module, "write_state", fail)
    with pytest.raises(BrokenWorkerError, match="cannot be read or written: Input/output error"):
        do(own_study, sweep)
    assert outcomes(sweep) == {}


def test_a_worker_to_whom_one_job_after_the_other_fails_without_a_known_reason_ends(
    own_study: Study, run_mm: RunMm, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = begin(own_study)
    fail_with(monkeypatch, ZeroDivisionError("of nobody knows what"))
    result = run_mm("--study", own_study.layout.root, "sweep", "work", sweep.name)
    assert result.exit_code == BROKEN
    assert result.stderr.splitlines()[-1].startswith(
        "3 jobs in a row have failed, the last with ZeroDivisionError: of nobody knows what."
    )
    assert sorted(outcomes(sweep).values()) == ["begun", "failed", "failed"]


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


def test_every_fold_of_a_changed_study_and_every_trunk_is_told(own_study: Study) -> None:
    settings = {"input_sets": (("flair",),), "baselines": (), "folds": 5, "methods": ("separate", "frozen")}
    sweep = begin(own_study, **settings)
    with duckdb.connect(str(own_study.layout.catalog)) as catalog:
        last = "SELECT max(row) FROM feature WHERE name = 'age'"
        catalog.execute(f"DELETE FROM feature WHERE name = 'age' AND row = ({last})")
    do(own_study, sweep)
    states = read_states(sweep, {job.name: job for job in read_plan(sweep)[0].jobs})
    told = {name: state.error for name, state in states.items() if not name.startswith("frozen")}
    assert len(told) == 10
    assert all("the study has changed since" in error for error in told.values()), told


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


@pytest.mark.usefixtures("workers_here")
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


@pytest.mark.usefixtures("workers_here")
def test_the_only_sweep_is_resumed_whatever_its_name_and_of_several_one_is_asked_for(
    own_study: Study, run_mm: RunMm
) -> None:
    settings = {"epochs": 1, "channels": (2, 2), "augment": "none", "log": ()}
    asked = SweepSettings(targets=("age",), input_sets=(("flair",),), baselines=(), train=settings)
    plan = plan_sweep(own_study, asked)
    pilot = begin_sweep(own_study, "pilot", plan, (), retry=False)
    words = ("--study", own_study.layout.root, "sweep", "--device", "cpu")
    assert json.loads(run_mm(*words, "--json").stdout) | {"name": "pilot", "finished": 1} == json.loads(
        run_mm(*words, "--json").stdout
    )
    assert outcomes(pilot) == {FLAIR: "finished"}
    begin_sweep(own_study, "other", plan, (), retry=False)
    assert "several sweeps: other, pilot" in run_mm(*words).output


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
    assert json.loads(result.stdout)["models"] == 4 and len(embedded(report.read_text())["runs"]["name"]) == 4
    with duckdb.connect(str(own_study.layout.catalog), read_only=True) as catalog:
        names = [name for (name,) in catalog.execute("SELECT sample_id FROM samples").fetchall()]
    files = [path for path in sweep.path.rglob("*") if path.is_file()]
    assert files
    for path in (*files, report):
        content = Path(path).read_text()
        assert not any(name in content for name in names), path.name
