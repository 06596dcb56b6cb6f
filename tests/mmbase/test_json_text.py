from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ConfigDict

from mmbase import json_text
from mmbase.json_text import EXACT, Count, DamagedTextError, Finite, parse_json, parse_json_line, read_json


@dataclass(frozen=True)
class Scan:
    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    row: Count
    share: Finite = 0.0
    names: list[str] = field(default_factory=list)


def test_what_has_the_shape_is_read() -> None:
    assert parse_json('{"row": 3, "share": 1, "names": ["a"]}', Scan) == Scan(3, 1.0, ["a"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON"),
        ('{"row": 3', "no JSON: .* at line 1, column 10"),
        (b'{"row": \xff}', "no text in UTF-8"),
        ('{"row": 3, "row": 4}', "a name comes twice"),
        ('{"row": 3, "names": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep"),
        ('{"row": ' + "9" * 5000 + "}", "a number has thousands of digits"),
        ('{"row": "1000223"}', "row: Input should be a valid integer"),
        ('{"row": 3.0}', "row: "),
        ('{"row": true}', "row: "),
        ('{"row": -1}', "row: "),
        ('{"row": 1e30}', "row: "),
        ('{"row": 3, "share": NaN}', "share: .* finite"),
        ('{"row": 3, "share": 1e999}', "share: .* finite"),
        ('{"row": 3, "names": "ab"}', "names: "),
        ('{"row": 3, "rowz": 3}', "rowz: "),
        ("{}", "row: Field required"),
        ("[]", "content: "),
        ("null", "content: "),
    ],
)
def test_anything_else_is_refused_without_telling_what_came(text: str | bytes, why: str) -> None:
    with pytest.raises(DamagedTextError, match=f"^{why}") as caught:
        parse_json(text, Scan)
    assert "1000223" not in str(caught.value) and len(str(caught.value)) < 200


def test_of_many_faults_a_few_are_told() -> None:
    with pytest.raises(DamagedTextError, match=r"; and 17 more$"):
        parse_json_line(f"[{','.join('1' * 20)}]", list[str])


def test_an_enormous_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "MAX_BYTES", 5)
    (tmp_path / "a.json").write_text("{}    ")
    with pytest.raises(DamagedTextError, match="it has 6 bytes"):
        read_json(tmp_path / "a.json", dict[str, Any])
