"""What the cost of a sweep's baselines is worked out from."""

from benchmarks.baselines import NUM_CELLS, NUM_TARGETS, TARGETS, Costs, sampled_cells
from catalog.fields import load_dictionary


def test_the_targets_and_cells_are_those_of_the_reference() -> None:
    assert sum(NUM_TARGETS.values()) == 25
    assert sum(number * NUM_CELLS[group] for (group, _), number in NUM_TARGETS.items()) == 700


def test_a_sample_has_every_set_of_volumes_and_connectivity_and_a_target_of_every_sort() -> None:
    dictionary = load_dictionary()
    sorts = set()
    for target in TARGETS:
        block, kind = dictionary[target].block, dictionary[target].kind
        cells = list(sampled_cells(target, block))
        sorts.add(("constitutional" if block == "constitutional" else "other", kind))
        assert len({cell.volumes_and_connectivity for cell in cells}) == (7 if block == "constitutional" else 8)
        assert all(block not in cell.blocks for cell in cells)
    assert sorts == NUM_TARGETS.keys()


def test_a_target_costs_what_it_pays_once_and_its_runs() -> None:
    costs = Costs(first=9.0, again=2.0, runs={"constant": [1.0, 3.0], "linear": [4.0]}, steps={})
    assert costs.of_target(10) == 7.0 + 10 * (2.0 + 4.0)
