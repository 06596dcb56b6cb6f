"""What `mm predict` says of itself, and of what it cannot use."""

from pathlib import Path

import pytest

from tests.conftest import RunMm
from tests.mmcli.outcome import complaint


def test_help_says_what_the_file_holds_with_identify(run_mm: RunMm) -> None:
    shown = " ".join(run_mm("predict", "--help").stdout.split())
    assert "the file then holds personal identifiers" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("no-such-run", "--output", "{}/a.csv"), "There is no model 'no-such-run'"),
        (("one,", "--output", "{}/a.csv"), "A model has no name"),
        (("no-such-run", "--output", "{}/a.txt"), "Expected a file that ends in .csv or .parquet"),
        (("one,one", "--output", "{}/a.csv"), "A model is named twice"),
        (("one", "--output", "{}/a.csv", "--level", "90"), "Expected a level between 0 and 1"),
        (("one", "--output", "{}/a.csv", "--allow", "this"), "there is no deviation of this name"),
        (("one", "ukb:{}", "--output", "{}/a.csv", "--split", "val"), "sources of new people are given"),
        (("one", "--output", "{}/a.csv", "--table", "{}/b.csv"), "--table is of new people"),
        (("one", "--output", "{}/a.csv", "--register", "maybe"), "ingest.register"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    study: Path, tmp_path: Path, run_mm: RunMm, words: tuple[str, ...], message: str
) -> None:
    result = run_mm("--study", study, "predict", *(word.format(tmp_path) for word in words))
    assert message in complaint(result)
    assert list(tmp_path.iterdir()) == []


def test_without_a_study_only_bundles_are_found(tmp_path: Path, run_mm: RunMm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_mm("predict", "a-run", "--output", "a.csv")
    assert "There is no study here to predict samples of" in complaint(result)
    named = run_mm("--study", tmp_path / "nowhere", "predict", "a-run", "--output", "a.csv")
    assert "is not a study" in complaint(named)


def test_a_split_that_there_is_not_is_wrong_usage_as_of_other_commands(tmp_path: Path, run_mm: RunMm) -> None:
    for command in ("predict", "explain"):
        result = run_mm(command, "one", "--output", tmp_path / "a", "--split", "everybody")
        assert result.exit_code == 2 and "'everybody' is not one of" in " ".join(result.output.split())
