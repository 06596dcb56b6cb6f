"""A worker is started again while its sweep comes further, and no more once it does not."""

from typing import Any

import pytest

from mmdata.study import Study
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.jobs import Job
from mmstudy.sweep.losses import MAX_LOSSES, Losses, SweepProgress
from mmstudy.sweep.state import JobState, write_state
from mmstudy.sweep.worker_process import BROKEN

KILLED = -9
NAMES = [f"job_{number}" for number in range(20)]


@pytest.fixture
def sweep(own_study: Study) -> SweepDirectory:
    sweep = SweepDirectory(own_study.layout.sweeps / "sweep")
    sweep.make()
    return sweep


@pytest.fixture
def losses(own_study: Study, sweep: SweepDirectory) -> Losses:
    jobs = {name: Job(name=name, targets=("age",), inputs=("t1",), seed=1) for name in NAMES}
    return Losses(SweepProgress(own_study, sweep, jobs))


@pytest.mark.parametrize("code", [KILLED, BROKEN])
def test_a_worker_is_given_up_where_nothing_comes_further(losses: Losses, code: int) -> None:
    assert [losses.is_hopeless(code) for _ in range(MAX_LOSSES + 1)] == [*[False] * MAX_LOSSES, True]


@pytest.mark.parametrize(
    ("code", "outcome", "expected"),
    [
        (KILLED, "finished", False),
        (KILLED, "failed", False),  # a job that kills its process is given up, and others may not
        (BROKEN, "finished", True),  # by other workers, perhaps
        (BROKEN, "failed", True),
    ],
)
def test_deaths_are_counted_anew_once_a_job_has_ended(
    losses: Losses, sweep: SweepDirectory, code: int, outcome: Any, *, expected: bool
) -> None:
    hopeless = False
    for name in NAMES:
        write_state(sweep, name, JobState(outcome=outcome))
        hopeless = losses.is_hopeless(code) or hopeless
    assert hopeless == expected


def test_an_epoch_that_was_finished_counts_too(losses: Losses, own_study: Study, sweep: SweepDirectory) -> None:
    epochs = own_study.layout.runs / "long" / "metrics.jsonl"
    epochs.parent.mkdir(parents=True)
    write_state(sweep, NAMES[0], JobState(outcome="begun", run_id="long"))
    for _ in range(3 * MAX_LOSSES):
        with epochs.open("a") as file:
            file.write('{"epoch": 1}\n')
        assert not losses.is_hopeless(KILLED)
    assert [losses.is_hopeless(KILLED) for _ in range(MAX_LOSSES)] == [*[False] * (MAX_LOSSES - 1), True]


def test_a_job_that_ends_is_further_than_the_epochs_it_had(
    own_study: Study, sweep: SweepDirectory, losses: Losses
) -> None:
    epochs = own_study.layout.runs / "long" / "metrics.jsonl"
    epochs.parent.mkdir(parents=True)
    epochs.write_text("{}\n" * 9)
    write_state(sweep, NAMES[0], JobState(outcome="begun", run_id="long"))
    progress = SweepProgress(own_study, sweep, losses.progress.jobs)
    write_state(sweep, NAMES[0], JobState(outcome="finished", run_id="long"))
    assert progress.came_further()
    assert not progress.came_further()
