from pathlib import Path

import pytest

from catalog.errors import TableError
from catalog.participant_lists import parse_participant, read_test_list
from mmbase.records import participant_number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1000223\n1000224\n", {"1000223", "1000224"}),
        ('\ufeff"1000223",\r\n\r\n"1000224"', {"1000223", "1000224"}),
        ("-5\n1000223\n", {"1000223"}),
        ('"eid";\n1000223;\n', {"1000223"}),
        ("sub-OAS30001\n1000223\n", {"OAS30001", "1000223"}),
    ],
)
def test_a_test_list_has_one_participant_a_line(tmp_path: Path, text: str, expected: set[str]) -> None:
    (tmp_path / "test.txt").write_text(text, encoding="utf-8", newline="")
    assert read_test_list(tmp_path / "test.txt") == expected


@pytest.mark.parametrize("line", ["eid", "1000224,1000225", "1000224.5", "²", "-", "sub-"])
def test_another_line_is_named_by_number_and_not_repeated(tmp_path: Path, line: str) -> None:
    (tmp_path / "test.txt").write_text(f"1000223\n{line}\n", encoding="utf-8")  # a header comes first or not at all
    with pytest.raises(TableError, match=r"test\.txt, line 2: expected one participant number") as caught:
        read_test_list(tmp_path / "test.txt")
    assert "10002" not in str(caught.value)


def test_a_list_of_nobody_or_of_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nobody.txt").write_text("0\n\n")
    (tmp_path / "zip.txt").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(TableError, match=r"test list nobody\.txt names nobody"):
        read_test_list(tmp_path / "nobody.txt")
    for name in ("zip.txt", "missing.txt"):
        with pytest.raises(TableError, match=rf"test list {name} cannot be read"):
            read_test_list(tmp_path / name)


def test_a_number_of_a_thousand_digits_is_a_label_and_no_crash() -> None:
    assert parse_participant("7" * 10_000) == participant_number("7" * 10_000)
