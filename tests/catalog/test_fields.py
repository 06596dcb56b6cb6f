from typing import Any

import pytest

from catalog.errors import DictionaryError, UnknownTargetError
from catalog.fields import block_names, find_target, load_dictionary, metadata_features, shown_features

UKB = load_dictionary()

CONSTITUTIONAL = {"sex": [31], "age": [21003], "weight": [21002], "handedness": [1707]}
DISEASE = {
    "smoking": [20116],
    "body_fat": [23099],
    "hypertension": [20002, 6150, 131286],
    "asthma": [20002, 6152, 131494],
    "atopy": [20002, 6152, 131720],
}
SEROLOGY = {"Hb": [30020], "HDL": [30760], "LDL": [30780], "hba1c": [30750]}
PSYCHOLOGY = {
    "reaction_time": [20023],
    "mood_swings": [1920],
    "miserableness": [1930],
    "irritability": [1940],
    "sensitivity": [1950],
    "fed_up": [1960],
    "nervous": [1970],
    "anxious": [1980],
    "tense": [1990],
    "worry": [2000],
    "lonely": [2020],
    "guilty": [2030],
}
BLOCKS = {"constitutional": CONSTITUTIONAL, "disease": DISEASE, "serology": SEROLOGY, "psychology": PSYCHOLOGY}
CONTINUOUS = {"age", "weight", "body_fat", "Hb", "HDL", "LDL", "hba1c", "reaction_time"}


def test_the_targets_are_the_25_of_the_reference() -> None:
    targets = [name for name, definition in UKB.items() if definition.target]
    assert len(targets) == 25
    assert set(targets) == {name for block in BLOCKS.values() for name in block}


@pytest.mark.parametrize(
    ("block", "name", "fields"), [(b, n, f) for b, targets in BLOCKS.items() for n, f in targets.items()]
)
def test_each_target_has_its_fields_block_and_kind(block: str, name: str, fields: list[int]) -> None:
    definition = find_target(UKB, name)
    assert sorted(definition.fields) == sorted(fields)
    assert definition.block == block
    assert definition.kind == ("continuous" if name in CONTINUOUS else "binary")
    assert definition.unit


def test_age_at_recruitment_is_no_target_and_no_input() -> None:
    made_of_it = {name: definition for name, definition in UKB.items() if 21022 in definition.fields}
    assert [(name, d.target, d.block) for name, d in made_of_it.items()] == [("recruitment_age", False, "")]


@pytest.mark.parametrize("name", list(PSYCHOLOGY)[1:])
def test_questions_of_mood_know_both_codes_for_no_answer(name: str) -> None:
    assert {-1, -3} <= set(find_target(UKB, name).missing)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("aeg", "age"),
        ("Age", "age"),
        ("hb", "Hb"),
        ("ldl", "LDL"),
        ("hypertention", "hypertension"),
        ("mood", "mood_swings"),
    ],
)
def test_a_mistyped_target_is_refused_with_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(UnknownTargetError, match=rf"Unknown target '{typed}'\. Did you mean {meant}\?"):
        find_target(UKB, typed)


def test_a_target_like_no_other_is_refused_with_the_list() -> None:
    with pytest.raises(UnknownTargetError) as caught:
        find_target(UKB, "qqqq")
    assert "Did you mean" not in str(caught.value)
    assert all(name in str(caught.value) for block in BLOCKS.values() for name in block)


def test_any_number_may_be_a_target_and_a_code_may_not() -> None:
    assert find_target(UKB, "head_size").field == 25000
    for name in ("centre", "scan_date"):
        with pytest.raises(UnknownTargetError, match=f"{name} is .*, and a target must be continuous or binary"):
            find_target(UKB, name)


@pytest.mark.parametrize("own", BLOCKS)
@pytest.mark.parametrize("other", BLOCKS)
def test_a_model_sees_the_blocks_asked_for_but_not_the_targets_own(own: str, other: str) -> None:
    target = next(iter(BLOCKS[own]))
    if own != other:
        assert shown_features(UKB, target, [other]) == list(BLOCKS[other])
    assert set(shown_features(UKB, target, list(BLOCKS))) == {n for b in BLOCKS if b != own for n in BLOCKS[b]}
    kept = set(shown_features(UKB, target, [own, other], keep_own_block=True))
    assert kept == {*BLOCKS[own], *BLOCKS[other]} - {target}


def test_the_network_has_a_place_for_the_other_24_whatever_is_shown() -> None:
    names = {name for block in BLOCKS.values() for name in block}
    for target in names:
        assert set(metadata_features(UKB, target)) == names - {target}
    assert set(metadata_features(UKB, "head_size")) == names


def test_a_models_own_block_alone_is_refused() -> None:
    with pytest.raises(UnknownTargetError, match="constitutional"):
        shown_features(UKB, "age", ["constitutional"])
    assert shown_features(UKB, "age", ["constitutional"], keep_own_block=True) == ["sex", "weight", "handedness"]


def test_no_block_asked_for_shows_nothing() -> None:
    assert shown_features(UKB, "age", []) == []


def test_an_unknown_block_is_refused_with_the_list() -> None:
    with pytest.raises(UnknownTargetError, match=r"Unknown block 'blood'\..*serology"):
        shown_features(UKB, "age", ["blood"])


def test_a_study_brings_features_and_blocks_of_its_own() -> None:
    dictionary = load_dictionary({"grip": {"field": 46, "kind": "continuous", "unit": "kg", "block": "strength"}})
    assert block_names(dictionary) == (*block_names(UKB), "strength")
    assert find_target(dictionary, "grip").unit == "kg"
    assert shown_features(dictionary, "age", ["strength"]) == ["grip"]
    assert metadata_features(dictionary, "age") == [*metadata_features(UKB, "age"), "grip"]
    assert "grip" not in load_dictionary()


@pytest.mark.parametrize(
    ("name", "entry", "named"),
    [
        ("grip strength", {"kind": "continuous", "field": 46}, "cannot have this name"),
        ("1st", {"kind": "continuous", "field": 46}, "cannot have this name"),
        ("split", {"kind": "continuous", "field": 46}, "cannot have this name"),
        ("eid", {"kind": "continuous", "field": 46}, "cannot have this name"),
        ("grip", {"kind": "continuous", "field": -46}, "a field of 1 or more"),
        ("grip", {"kind": "continuous", "field": 46, "policy": "fixed", "instance": -1}, "an instance of 0 or more"),
        ("grip", {"kind": "continuous"}, "either a field or any_of"),
        (
            "grip",
            {"kind": "continuous", "field": 46, "any_of": [{"field": 46, "codes": [1]}]},
            "either a field or any_of",
        ),
        ("grip", {"kind": "number", "field": 46}, "kind: .*'continuous'"),
        ("grip", {"kind": "continuous", "field": "hand"}, "field: .*integer"),
        ("grip", {"kind": "continuous", "field": 46, "polcy": "same"}, "polcy: "),
        ("grip", {"kind": "continuous", "field": 46, "policy": "fixed"}, "an instance with policy"),
        ("grip", {"kind": "continuous", "field": 46, "instance": 0}, "an instance with policy"),
        ("grip", {"kind": "continuous", "any_of": [{"field": 46, "at_least": 20}]}, 'kind "binary" with any_of'),
        ("grip", {"kind": "binary", "any_of": [{"field": 46}]}, "exactly one of codes, dated"),
        ("grip", {"kind": "binary", "any_of": [{"field": 46, "codes": [1], "dated": True}]}, "exactly one of"),
        ("site", {"kind": "categorical", "field": 54}, "target = false and no block"),
        ("grip", 46, "definition: "),
    ],
)
def test_a_definition_that_cannot_be_used_is_refused_by_name(name: str, entry: Any, named: str) -> None:
    with pytest.raises(DictionaryError, match=named) as caught:
        load_dictionary({name: entry})
    assert str(caught.value).startswith("The feature ")
