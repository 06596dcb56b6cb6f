"""Which runs a sweep makes of its cells."""

from typing import Any

import pytest

from catalog.fields import load_dictionary
from mmstudy.sweep.cells import Cell
from mmstudy.sweep.cost import expected_cost, in_order
from mmstudy.sweep.grid import reference_cells, reference_targets
from mmstudy.sweep.job_settings import settings_of_job
from mmstudy.sweep.jobs import Job, make_jobs, require_short_names
from mmstudy.sweep.settings import SweepSettings
from mmtrain.errors import TrainError

UKB = load_dictionary()
CELLS = reference_cells(UKB, reference_targets(UKB))
DOMAINS = {name: definition.block for name, definition in UKB.items()}


def jobs_of(cells: list[Cell] = CELLS, **settings: Any) -> list[Job]:
    """Return the jobs of some cells; without baselines where none are asked for."""
    return make_jobs(cells, DOMAINS, SweepSettings(**{"baselines": (), "seeds": (1337,), **settings}))


@pytest.mark.parametrize(
    ("methods", "number"),
    [
        (("separate",), 700),
        (("shared",), 7 + 3 * 32),
        (("frozen",), 700 + 3),
        (("separate", "frozen"), 700 + 3 + sum(any(n in c.inputs for n in ("t1", "dwi")) for c in CELLS)),
    ],
)
def test_a_method_has_its_number_of_networks(methods: tuple[str, ...], number: int) -> None:
    jobs = jobs_of(methods=methods)
    assert len(jobs) == len({job.name for job in jobs}) == number


def test_every_cell_has_one_model_of_every_method_and_baseline() -> None:
    jobs = jobs_of(methods=("separate", "shared", "frozen"), baselines=("constant", "linear"))
    served = [(method, cell, job.network) for job in jobs for method, cells in job.serves.items() for cell in cells]
    assert len(served) == len(set(served)) == 700 * (3 + 2)


def test_a_shared_network_predicts_every_target_of_a_domain_and_no_other() -> None:
    for job in jobs_of(methods=("shared",)):
        domain = {DOMAINS[target] for target in job.targets}
        assert len(domain) == 1
        assert set(job.targets) == {cell.target for cell in CELLS if DOMAINS[cell.target] in domain}


def test_a_head_waits_for_the_trunk_of_exactly_its_volumes() -> None:
    jobs = {job.name: job for job in jobs_of(methods=("frozen",))}
    heads = [job for job in jobs.values() if job.trunk]
    assert heads
    assert all(jobs[job.trunk].inputs == job.volumes for job in heads)
    trunks = [job for job in jobs.values() if not job.serves]
    assert [len(job.targets) for job in trunks] == [25, 25, 25]


def test_seeds_and_folds_multiply_every_job() -> None:
    jobs = jobs_of(CELLS[:2], seeds=(1, 2), folds=3, baselines=("linear",))
    assert len(jobs) == 2 * 2 * 2 * 3
    assert {(job.seed, job.fold) for job in jobs} == {(seed, fold) for seed in (1, 2) for fold in (1, 2, 3)}


def test_trunks_come_first_and_then_what_takes_longest() -> None:
    jobs = jobs_of(methods=("frozen",), baselines=("linear",))
    costs = {
        job.name: expected_cost(job, num_samples=100, side=64, epochs=20, is_fitted=job.network == "linear")
        for job in jobs
    }
    ordered = in_order(jobs, costs)
    assert not any(job.serves for job in ordered[:3])
    assert sorted((costs[job.name] for job in ordered[3:]), reverse=True) == [costs[job.name] for job in ordered[3:]]


def test_a_run_is_asked_for_with_the_settings_of_all_and_what_is_its_own() -> None:
    (cell,) = [cell for cell in CELLS if cell.name == "Hb_dwi-metadata_constitutional-disease"]
    (job,) = jobs_of([cell])
    given = settings_of_job(job, SweepSettings(train={"epochs": 7}), ("t1", "dwi"))
    assert given == {
        **{"epochs": 7, "inputs": ("dwi", "metadata"), "metadata_blocks": ("constitutional", "disease")},
        **{"model": "fusion", "seed": 1337, "required_inputs": ("t1", "dwi")},
    }


def test_names_that_no_file_can_have_are_refused() -> None:
    jobs = jobs_of([Cell(target="x" * 240, inputs=("t1",))], methods=("separate",))
    with pytest.raises(TrainError, match="too many for a file's name"):
        require_short_names(jobs)
    require_short_names(jobs_of(methods=("separate", "shared", "frozen"), baselines=("constant", "linear", "boosting")))
