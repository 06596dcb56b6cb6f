"""Sets of inputs as columns of a picture."""

from mmstudy.comparison.drawing.sets import elements_in_order, sort_sets
from mmstudy.sweep.grid import InputSet


def test_groups_of_features_stand_in_the_same_order_whichever_set_names_them_first() -> None:
    sets = [InputSet((), ("psychology", "own")), InputSet(("t1",), ("serology",)), InputSet((), ("constitutional",))]
    for given in (sets, sets[::-1]):
        assert elements_in_order(given) == ["t1", "constitutional", "serology", "psychology", "own"]
        assert [of.blocks[0] for of in sort_sets(given)] == ["constitutional", "serology", "psychology"]
