"""What the cost of a sweep's baselines is worked out from."""

from benchmarks.baselines import TARGETS, Costs, sampled_cells, sort_of
from catalog.fields import load_dictionary
from mmstudy.sweep.grid import reference_targets

UKB = load_dictionary()


def test_a_target_of_every_sort_of_the_reference_is_measured() -> None:
    assert {sort_of(UKB, target) for target in TARGETS} == {sort_of(UKB, target) for target in reference_targets(UKB)}


def test_a_sample_has_every_set_of_volumes_and_connectivity_once() -> None:
    for target in TARGETS:
        cells = sampled_cells(UKB, target)
        number = 7 if UKB[target].block == "constitutional" else 8
        assert len({cell.volumes_and_connectivity for cell in cells}) == len(cells) == number


def test_a_target_costs_what_it_pays_once_and_its_runs() -> None:
    costs = Costs(first=9.0, again=2.0, runs={"constant": [1.0, 3.0], "linear": [4.0]}, steps={})
    assert costs.of_target(10) == 7.0 + 10 * (2.0 + 4.0)
