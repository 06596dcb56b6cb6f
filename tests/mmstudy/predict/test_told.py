"""What is told of a deviation: all where it is the reason, its name where it was allowed, its meaning at the end."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mmstudy.predict import stored
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.deviations.names import NAMES, deviation
from mmstudy.predict.summary import summary_lines
from tests.mmstudy.predict.conftest import Trained

OLD = deviation("outside-age-range", "age", expected="45 to 80 years", got="98", remedy="Do not use it.")
SMALL = deviation("other-size", "t1", expected="volume of at least 400 ml", got="40", remedy="Check the header.")


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find two deviations in every stored sample, one of them by each of two models."""

    def found(*_: Any) -> list[Deviation]:
        return [OLD, replace(OLD, got="99"), SMALL]

    monkeypatch.setattr(stored, "check_features", found)


@pytest.mark.usefixtures("planted")
def test_a_refused_row_says_all_in_plain_words_first(trained: Trained, tmp_path: Path) -> None:
    refused, summary = trained.predict(tmp_path / "refused.csv", allowed=frozenset(["outside-age-range"]))
    assert set(refused["status"]) <= {"refused", "failed"}
    told = (
        "other-size (t1): The brain in the image is larger or smaller than expected; often a voxel size is wrong. "
        "Expected: volume of at least 400 ml, got: 40. Check the header."
    )
    assert all(reason.split(" | ")[-1] == told for reason in refused["reason"])
    lines = list(summary_lines(summary))
    assert f"Refused {summary.num_refused}, other-size: {NAMES['other-size']}" in lines
    assert lines.count("Column `reason` says of each what was expected, what came and what to do.") == 1
    assert any("no medical findings" in line for line in lines)


@pytest.mark.usefixtures("planted")
def test_a_row_with_what_was_allowed_has_its_name_and_the_end_its_meaning_once(
    trained: Trained, tmp_path: Path
) -> None:
    frame, summary = trained.predict(tmp_path / "allowed.csv", allowed=frozenset(["outside-age-range", "other-size"]))
    predicted = frame.filter(pl.col("status") == "predicted")
    assert predicted.height and all(
        cell.split("; ")[-2:] == ["allowed outside-age-range (age)", "allowed other-size (t1)"]
        for cell in predicted["warnings"]
    )
    assert summary.allowed == {"outside-age-range": summary.num_predicted, "other-size": summary.num_predicted}
    text = "\n".join(summary_lines(summary))
    assert text.count(NAMES["outside-age-range"]) == text.count(NAMES["other-size"]) == 1
    assert summary.to_json()["allowed_by_name"] == summary.allowed
