import pytest

from catalog.errors import UnknownTargetError
from catalog.fields import find_target, load_dictionary, metadata_features

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
    targets = [name for name, definition in load_dictionary().items() if definition.target]
    assert len(targets) == 25
    assert set(targets) == {name for block in BLOCKS.values() for name in block}


@pytest.mark.parametrize(
    ("block", "name", "fields"), [(b, n, f) for b, targets in BLOCKS.items() for n, f in targets.items()]
)
def test_each_target_has_its_fields_block_and_kind(block: str, name: str, fields: list[int]) -> None:
    definition = find_target(name)
    assert sorted(definition.fields) == sorted(fields)
    assert definition.block == block
    assert definition.kind == ("continuous" if name in CONTINUOUS else "binary")
    assert definition.unit


def test_no_feature_is_made_of_age_at_recruitment() -> None:
    assert all(21022 not in definition.fields for definition in load_dictionary().values())


@pytest.mark.parametrize("name", list(PSYCHOLOGY)[1:])
def test_questions_of_mood_know_both_codes_for_no_answer(name: str) -> None:
    assert {-1, -3} <= set(find_target(name).missing)


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
        find_target(typed)


def test_a_target_like_no_other_is_refused_with_the_list() -> None:
    with pytest.raises(UnknownTargetError) as caught:
        find_target("qqqq")
    assert "Did you mean" not in str(caught.value)
    assert all(name in str(caught.value) for block in BLOCKS.values() for name in block)


def test_a_confound_is_not_a_target() -> None:
    assert "head_size" in load_dictionary()
    with pytest.raises(UnknownTargetError):
        find_target("head_size")


@pytest.mark.parametrize("own", BLOCKS)
@pytest.mark.parametrize("other", BLOCKS)
def test_metadata_holds_the_blocks_asked_for_but_never_the_targets_own(own: str, other: str) -> None:
    target = next(iter(BLOCKS[own]))
    if own != other:
        assert metadata_features(target, [other]) == list(BLOCKS[other])
    assert set(metadata_features(target, list(BLOCKS))) == {n for b in BLOCKS if b != own for n in BLOCKS[b]}


def test_metadata_of_the_targets_own_block_alone_is_refused() -> None:
    with pytest.raises(UnknownTargetError, match="constitutional"):
        metadata_features("age", ["constitutional"])


def test_no_metadata_asked_for_is_none() -> None:
    assert metadata_features("age", []) == []


def test_an_unknown_block_is_refused_with_the_list() -> None:
    with pytest.raises(UnknownTargetError, match=r"Unknown block 'blood'\..*serology"):
        metadata_features("age", ["blood"])
