"""`mm init` refuses settings that cannot be used."""

from pathlib import Path

import pytest

from mmcli.study import parse_assignments
from tests.conftest import RunMm
from tests.mmcli.outcome import complaint


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("volumes.sides=[64,48]", "sides"),
        ("volumes.side=64", "volumes.side"),
        ("salt=short", "16 characters"),
        ("splits.val=0.95", "val"),
        ("train.side=48", "train.side is 48"),
        ("volumes.dtype=int3", "got 'int3'"),
        ("schema_version=2", "schema_version 2"),
    ],
)
def test_a_setting_that_cannot_be_used_makes_no_study(
    run_mm: RunMm, tmp_path: Path, setting: str, expected: str
) -> None:
    assert expected in complaint(run_mm("--study", tmp_path / "study", "init", "--set", setting))
    assert not (tmp_path / "study").exists()


def test_a_file_in_place_of_the_study_is_one_line(run_mm: RunMm, tmp_path: Path) -> None:
    (tmp_path / "study").write_text("not a folder")
    for words in (["init"], ["status"]):
        complaint(run_mm("--study", tmp_path / "study", *words))


def test_settings_are_nested_by_their_dots_and_parsed_as_toml_where_they_are() -> None:
    assert parse_assignments(["volumes.sides=[64, 32]", "volumes.dtype=uint8", "seed = 7"]) == {
        "volumes": {"sides": [64, 32], "dtype": "uint8"},
        "seed": 7,
    }
