import json
import os
from pathlib import Path

import pytest

from catalog.errors import TableError
from catalog.tables.sidecars import ColumnDescription, describe_columns, read_sidecar


def test_what_is_said_of_a_column_is_found_whatever_its_case_and_the_last_file_counts() -> None:
    first = {"Age": {"Units": " months ", "LongName": "Age", "Description": "at the scan"}, "x": "text"}
    last = {"sex": {"Levels": {"1": "male", "2": {"Description": "female"}, "3": {}}}, "weight": {"Units": "n/a"}}
    assert describe_columns([first, {"sex": {"Units": "?"}}, last]) == {
        "age": ColumnDescription(unit="months", text="Age. at the scan"),
        "sex": ColumnDescription(levels={"1": "male", "2": "female", "3": ""}),
        "weight": ColumnDescription(),
    }


@pytest.mark.parametrize("entry", [{"Levels": ["male", "female"]}, {"Levels": None, "Units": None}, {}])
def test_words_of_another_form_say_nothing(entry: dict[str, object]) -> None:
    assert describe_columns([{"sex": entry}]) == {"sex": ColumnDescription()}


def test_a_file_that_is_not_there_says_nothing_and_a_byte_order_mark_neither(tmp_path: Path) -> None:
    assert read_sidecar(tmp_path / "participants.json") == {}
    (tmp_path / "participants.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"age": {}}).encode())
    assert read_sidecar(tmp_path / "participants.json") == {"age": {}}


def test_a_comma_behind_the_last_entry_is_forgiven_as_in_the_examples_of_bids(tmp_path: Path) -> None:
    text = '{"age": {"Units": "a,}", "Levels": {"1": "x \\",]",},\n },\n}'
    (tmp_path / "participants.json").write_text(text)
    assert read_sidecar(tmp_path / "participants.json") == {"age": {"Units": "a,}", "Levels": {"1": 'x ",]'}}}


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "participants.json")
    with pytest.raises(TableError, match="not a file"):
        read_sidecar(tmp_path / "participants.json")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"age": {"Units": "months"}\n"sex": {}}', r"it is no JSON \(line 2\)"),
        (b"", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        ('{"age": {}}'.encode("utf-16"), "it is no JSON in UTF-8"),
        (b"[]", "it is no object"),
        (None, "it is a link to a file that is not here"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_because_meanings_would_be_guessed(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "participants.json"
    if content is None:
        path.symlink_to(tmp_path / "gone.json")
    else:
        path.write_bytes(content)
    with pytest.raises(TableError, match=rf"participants\.json cannot be read: {reason}.* Mend it"):
        read_sidecar(path)
