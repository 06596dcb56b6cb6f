"""Workers of a sweep as tasks of a real Dask cluster on this machine."""

import pytest

from mmdata.execution.pools import LocalPool
from mmdata.study import Study
from mmstudy.sweep.begin import begin_sweep
from mmstudy.sweep.cluster import run_on_cluster
from mmstudy.sweep.plan import plan_sweep
from mmstudy.sweep.settings import SweepSettings
from mmstudy.sweep.status import num_ended, sweep_status
from mmtrain.errors import TrainError


@pytest.mark.slow
def test_workers_on_a_cluster_share_the_jobs_of_a_sweep(own_study: Study) -> None:
    train = {"epochs": 1, "channels": (2, 2), "augment": "none"}
    asked = SweepSettings(targets=("age",), input_sets=(("flair",), ("dwi",)), baselines=("constant",), train=train)
    plan = plan_sweep(own_study, asked)
    sweep = begin_sweep(own_study, "sweep", plan, (), retry=False)
    looks: list[int] = []
    run_on_cluster(
        own_study, sweep, LocalPool(processes=2), 2, {"device": "cpu"}, lambda: looks.append(num_ended(sweep, plan))
    )
    status = sweep_status(own_study.layout, sweep, plan)
    assert (status.num_finished, status.failed) == (4, ())
    assert looks == sorted(looks)
    assert len(list(sweep.logs.glob("cluster-*.log"))) == 2


@pytest.mark.slow
def test_a_worker_that_cannot_work_is_told_of_with_its_last_words(own_study: Study) -> None:
    asked = SweepSettings(targets=("age",), input_sets=(("flair",),), baselines=(), train={"channels": (2, 2)})
    sweep = begin_sweep(own_study, "sweep", plan_sweep(own_study, asked), (), retry=False)
    sweep.plan.write_text("{")
    with pytest.raises(TrainError, match=r"exit code 1, .*cannot be read"):
        run_on_cluster(own_study, sweep, LocalPool(processes=1), 1, {}, lambda: None)


@pytest.mark.slow
def test_what_cannot_be_shown_of_a_sweep_stops_no_worker_and_is_told_at_the_end(own_study: Study) -> None:
    train = {"epochs": 1, "channels": (2, 2), "augment": "none"}
    asked = SweepSettings(targets=("age",), input_sets=(("flair",),), baselines=("constant",), train=train)
    plan = plan_sweep(own_study, asked)
    sweep = begin_sweep(own_study, "sweep", plan, (), retry=False)

    def look() -> None:
        raise TrainError("The disk cannot be read.")

    with pytest.raises(TrainError, match="The disk cannot be read"):
        run_on_cluster(own_study, sweep, LocalPool(processes=1), 1, {"device": "cpu"}, look)
    assert sweep_status(own_study.layout, sweep, plan).num_finished == 2
