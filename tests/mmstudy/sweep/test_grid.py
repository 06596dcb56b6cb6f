"""The reference's grid has the cells that its authors trained; one's own has what was asked for."""

from collections import Counter

import pytest

from catalog.fields import Dictionary, load_dictionary
from mmstudy.results.published import inputs_in_words
from mmstudy.sweep.grid import InputSet, own_cells, parse_input_set, reference_cells, reference_sets, reference_targets
from mmtrain.errors import TrainError


@pytest.fixture(scope="module")
def dictionary() -> Dictionary:
    """What mm knows of UK Biobank."""
    return load_dictionary()


def test_the_reference_has_700_models_of_25_targets(dictionary: Dictionary) -> None:
    cells = reference_cells(dictionary, reference_targets(dictionary))
    models = Counter(cell.target for cell in cells)
    assert len(cells) == len({cell.name for cell in cells}) == 700
    assert Counter(models.values()) == {7: 4, 32: 21}
    assert Counter(dictionary[cell.target].block for cell in cells) == {
        **{"constitutional": 28, "disease": 160},
        **{"serology": 128, "psychology": 384},
    }


def test_no_model_of_the_reference_sees_its_targets_own_group_or_flair_without_t1(dictionary: Dictionary) -> None:
    for cell in reference_cells(dictionary, reference_targets(dictionary)):
        assert dictionary[cell.target].block not in cell.blocks
        assert ("flair" in cell.inputs) == ("t1" in cell.inputs)
        assert ("metadata" in cell.inputs) == bool(cell.blocks) == ("constitutional" in cell.blocks)


def test_the_sets_of_a_domain_are_those_of_the_published_table() -> None:
    words = {inputs_in_words(of.inputs, of.blocks) for of in reference_sets("serology")}
    assert len(words) == 32
    assert {
        "Non-imaging data (C)",
        "rsfMRI Connectivity + DWI + FLAIR + T1 + Non-imaging data (C + D + P)",
        "DWI + Non-imaging data (C + P)",
        "rsfMRI Connectivity + FLAIR + T1 + Non-imaging data (C + D)",
    } < words


def test_a_set_of_ones_own_names_inputs_and_groups_in_any_order(dictionary: Dictionary) -> None:
    assert parse_input_set(dictionary, ["serology", "t1", " flair", "constitutional"]) == InputSet(
        ("flair", "t1", "metadata"), ("constitutional", "serology")
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["t1", "flaire"], "Did you mean flair"),
        (["t1", "t1"], "different inputs"),
        ([], "got none"),
        (["t1", "metadata"], "without saying which"),
    ],
)
def test_a_set_that_means_nothing_is_refused(words: list[str], told: str, dictionary: Dictionary) -> None:
    with pytest.raises(TrainError, match=told):
        parse_input_set(dictionary, words)


def test_targets_of_no_group_of_the_reference_need_sets_of_ones_own() -> None:
    dictionary = load_dictionary({"grip": {"kind": "continuous", "field": 46}})
    with pytest.raises(TrainError, match="grip, which belongs to no group"):
        reference_cells(dictionary, ["grip"])
    (cell,) = own_cells(dictionary, ["grip"], [InputSet(("t1",))])
    assert cell.name == "grip_t1"
