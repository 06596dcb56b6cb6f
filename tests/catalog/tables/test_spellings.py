from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.tables.spellings import match_labels
from mmbase.records import participant_number


def match(texts: Sequence[str], folders: Sequence[str]) -> tuple[dict[str, str], int, int]:
    """Return the folder that each text means, and how many labels are respelled and ambiguous."""
    labels = {participant_number(name): name for name in folders if str(participant_number(name)) != name}
    found = match_labels(texts, [participant_number(name) for name in folders], labels)
    folder_of = {participant_number(name): name for name in folders}
    meant = {text: folder_of[eid] for text, eid in found.eids.items() if eid in folder_of}
    return meant, found.num_respelled, found.num_ambiguous


@pytest.mark.parametrize(
    ("texts", "folders", "expected"),
    [
        (["sub-01", "sub-02"], ["01", "02"], ({"sub-01": "01", "sub-02": "02"}, 0, 0)),
        (["SUB-01", "02"], ["01", "02"], ({"SUB-01": "01", "02": "02"}, 0, 0)),
        (["sub-1", "2"], ["01", "02"], ({"sub-1": "01", "2": "02"}, 2, 0)),
        (["sub-001"], ["01"], ({"sub-001": "01"}, 1, 0)),
        (["sub-01"], ["1"], ({"sub-01": "1"}, 1, 0)),
        (["0", "1"], ["00", "01"], ({"0": "00", "1": "01"}, 2, 0)),
        (["1000223.0", "7.50"], ["1000223", "7"], ({"1000223.0": "1000223"}, 0, 0)),
        (["sub-00"], ["00"], ({"sub-00": "00"}, 0, 0)),
        (["sub-0"], ["0"], ({"sub-0": "0"}, 0, 0)),
        (["1", "sub-1"], ["01"], ({"1": "01", "sub-1": "01"}, 1, 0)),
        (["1", "01"], ["01"], ({"01": "01"}, 0, 1)),
        (["1", "001"], ["01"], ({}, 0, 2)),
        (["1"], ["01", "001"], ({}, 0, 1)),
        (["1"], ["1", "01"], ({"1": "1"}, 0, 0)),
        (["001"], ["1", "01"], ({}, 0, 1)),
        (["A1"], ["A01"], ({}, 0, 0)),
        (["9"], ["01"], ({}, 0, 0)),
        (["n/a", "-5", "redacted", "", "sub-n/a"], ["05", "01"], ({}, 0, 0)),
    ],
)
def test_a_label_means_its_folder_or_the_only_one_that_differs_in_leading_zeros(
    texts: list[str], folders: list[str], expected: tuple[dict[str, str], int, int]
) -> None:
    assert match(texts, folders) == expected


LABELS = st.text("01", min_size=1, max_size=4)


@given(st.sets(LABELS), st.sets(LABELS))
def test_nobody_gets_the_row_of_another_number_and_everybody_their_own(texts: set[str], folders: set[str]) -> None:
    meant, num_respelled, num_ambiguous = match(sorted(texts), sorted(folders))
    assert all(int(text) == int(folder) for text, folder in meant.items())
    assert all(meant[text] == text for text in texts & folders)
    assert len(set(meant.values())) == len(meant)
    assert len(meant) == len(texts & folders) + num_respelled
    numbers = {int(folder) for folder in folders}
    assert num_respelled + num_ambiguous == sum(int(text) in numbers for text in texts - folders)


def test_a_label_of_thousands_of_digits_is_nobody_else() -> None:
    assert match(["0" * 9000 + "1", "7" * 9000], ["01"]) == ({"0" * 9000 + "1": "01"}, 1, 0)
