"""Another table's scores beside those of a report: what is compared, what is not, and what is said of both."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from catalog.fields import load_dictionary
from mmstudy.comparison.compare import compare
from mmstudy.comparison.published_table import published_csv_of_scores, read_published
from mmstudy.report.beside import Beside
from mmstudy.report.beside_picture import draw_beside_pictures
from mmstudy.report.content import About, report_content
from mmstudy.report.other_table import OtherTable, find_unlike_balance, read_other_table
from mmstudy.sweep.cells import Cell
from mmtrain.drawing.figures import to_svg
from mmtrain.errors import TrainError
from tests.mmstudy.comparison.made_up import score_row, table
from tests.mmstudy.comparison.test_mixed_models import PUBLISHED_TABLE
from tests.mmstudy.report.test_content import ABOUT, DICTIONARY, rows

RARE = ("asthma", "atopy", "guilty", "hypertension", "irritability", "lonely", "nervous", "tense")
"""Targets of the published table whose models with and without imaging saw other shares of classes."""


def row(
    target: str, inputs: Sequence[str], score: float | None, kind: str = "continuous", **more: Any
) -> dict[str, Any]:
    """Return a line of the other table."""
    is_binary = kind == "binary"
    values = {"r2": None if is_binary else score, "balanced_accuracy": score if is_binary else 0.6, "auc": 0.7}
    cell = Cell(target=target, inputs=tuple(inputs), blocks=())
    return score_row(cell, score, **{"kind": kind, "val_score": None, "run_id": None, **values, **more})


THERE = (
    row("age", ("t1",), 0.5),
    row("age", ("dwi",), 0.5),
    row("age", ("flair", "t1"), 0.8),
    row("weight", ("t1",), 0.7, "binary"),
    row("weight", ("dwi",), 0.7, "binary"),
    row("sex", ("t1",), 0.95, "binary"),
    row("sex", ("t1", "dwi"), None, "binary"),
    row("grip", ("t1",), 0.6, "binary"),
)


@pytest.fixture
def other(tmp_path: Path) -> OtherTable:
    path = tmp_path / "other.csv"
    path.write_text(published_csv_of_scores(table(THERE)))
    return read_other_table(path, DICTIONARY, ["age"])


def beside_of(other: OtherTable, own: pl.DataFrame, **settings: Any) -> dict[str, Any]:
    """Return what is shown of a table beside models that were trained with some settings."""
    of_runs = dict.fromkeys(own["run_id"], settings) if settings else {}
    beside = Beside(table=other, settings=of_runs)
    found: dict[str, Any] = report_content(compare(own, None), DICTIONARY, ABOUT, beside=beside)["beside"]
    return found


def made_of(*lines: dict[str, Any]) -> OtherTable:
    return OtherTable(name="other.csv", scores=table(lines))


def test_cells_of_the_same_target_and_set_are_compared_and_no_others(other: OtherTable) -> None:
    own = table(rows())
    found = beside_of(other, own)
    cells = [own["cell"][model] for model in found["cells"]["model"]]
    assert cells == ["age_t1", "age_dwi", "sex_t1"]
    assert found["cells"]["score"] == [0.5, 0.5, 0.95]
    assert found["cells"]["difference"] == [0.1, 0.0, -0.05]
    (told,) = found["series"]["told"]
    assert told == (
        "Compared with other.csv (separate fusion here): 3 cells of 2 targets. The score here is higher in 1, lower in "
        "1 and equal in 1. Mean difference of R²: +0.050 (2 cells). Mean difference of balanced accuracy: −0.050 "
        "(1 cell)."
    )


def test_every_cell_is_compared_or_counted_with_the_reason_why_it_is_not(other: OtherTable) -> None:
    unmatched = beside_of(other, table(rows()))["unmatched"]
    found = {
        reason: (here, there, targets)
        for reason, here, there, targets in zip(*(unmatched[name] for name in unmatched), strict=True)
    }
    assert found == {
        "the target is in one alone": (0, 1, ["Grip"]),
        "the target is continuous in one and binary in the other": (4, 2, ["weight"]),
        "the target is in both, the set of inputs in one alone": (2, 1, ["age", "sex"]),
        "a score is not known": (1, 1, ["sex"]),
    }
    assert sum(unmatched["here"]) + 3 == len(rows()) and sum(unmatched["there"]) + 3 == len(THERE)


def test_each_series_has_the_other_score_beside_it(other: OtherTable) -> None:
    linear = [of | {"method": "baseline", "network": "linear", "score": 0.0} for of in rows()]
    found = beside_of(other, table([*rows(), *linear]))
    assert found["series"]["num_cells"] == [3, 3] and found["series"]["lower"] == [1, 3]
    assert found["targets"]["series"] == [0, 0, 1, 1] and found["targets"]["num_cells"] == [2, 1, 2, 1]
    shown = [of | {"score": None, "val_score": None} for of in linear]
    assert beside_of(other, table([*rows(), *shown]))["series"]["told"][1].startswith("No model of baseline linear")


def test_a_difference_has_no_more_digits_of_a_score_than_are_told() -> None:
    lines = [of | {"smallest_cell": 3, "score": 0.912345} for of in rows() if of["target"] == "sex"]
    found = beside_of(made_of(row("sex", ("t1",), 0.9, "binary")), table([*rows(n_test=437)[:3], *lines]))
    assert found["cells"]["difference"] == [pytest.approx(0.01)]


def test_several_models_of_a_cell_stand_there_as_their_mean() -> None:
    found = beside_of(made_of(row("age", ("t1",), 0.5), row("age", ("t1",), 0.6)), table(rows()))
    assert found["cells"]["score"] == [0.55] and found["cells"]["num_models"] == [2]
    assert any("Of 1 cell there the table has several models" in caution for caution in found["cautions"])


def test_the_best_set_there_is_told_with_how_it_was_chosen(other: OtherTable) -> None:
    found = beside_of(other, table(rows()))
    assert found["targets"]["best_score"][0] == 0.8 and found["targets"]["best_set"][0] == "FLAIR + T1"
    assert any("here they are chosen on validation" in caution for caution in found["cautions"])
    on_test = beside_of(other, table(rows(val_score=None)))["cautions"]
    assert not any("on validation" in caution for caution in on_test)


def test_what_differs_of_a_target_is_said_as_far_as_it_is_known(other: OtherTable) -> None:
    own = table([*rows(n_test=437), *rows(n_test=452, seed=2, run_id="again")])
    age, sex = beside_of(other, own, balance="undersample", clamp_labels=True)["targets"]["cautions"]
    people = ["Tested on 430 to 450 samples here (in tens), on an unknown number there."]
    assert age == [
        *people,
        "The score here is a mean over 2 seeds.",
        "Here labels of test participants are clamped to the training percentiles.",
    ]
    balance = "Here classes are balanced by undersampling in training; how it was there is not told."
    assert sex == [*people, "The score here is a mean over 2 seeds.", balance]
    folds = table([*rows(split="fold-1/2"), *rows(split="fold-2/2")])
    assert beside_of(other, folds)["targets"]["cautions"][0] == ["The score here is a mean over 2 folds."]
    assert beside_of(other, table(rows(split=None, seed=None)))["targets"]["cautions"] == [[], []]


def test_that_people_differ_and_nothing_is_tested_is_said_of_every_table(other: OtherTable) -> None:
    people, untested, *_ = beside_of(other, table(rows()))["cautions"]
    assert "other participants" in people and "another cohort" in people
    assert untested.startswith("No difference is tested")
    content = report_content(compare(table(rows()), None), DICTIONARY, ABOUT, beside=Beside(table=other, settings={}))
    assert any("other.csv" in limit and "tested" in limit for limit in content["limits"])


def test_models_that_predict_one_class_there_are_counted_and_marked() -> None:
    one_class, both = row("sex", ("t1",), 0.501, "binary"), row("sex", ("connectivity",), 0.8, "binary")
    found = beside_of(made_of(one_class | {"predicts_one_class": True}, both), table(rows()))
    assert found["cells"]["predicts_one_class"] == [True, False] and found["targets"]["one_class"] == [1]
    assert any(caution.startswith("1 of 2 models of binary targets") for caution in found["cautions"])


def losses(without: Sequence[float], having: Sequence[float], decides: tuple[float, float]) -> list[dict[str, Any]]:
    """Return models of a binary target with their losses: of metadata alone, and with a volume too."""
    return [
        row("asthma", inputs, score, "binary", loss=loss)
        for inputs, of, score in ((("metadata",), without, decides[0]), (("t1", "metadata"), having, decides[1]))
        for loss in of
    ]


@pytest.mark.parametrize(
    ("without", "having", "decides", "is_unlike"),
    [
        ((0.66, 0.67), (0.40, 0.48), (0.57, 0.50), True),
        ((0.66, 0.67), (0.40, 0.48), (0.57, 0.70), False),  # a lower loss that decides better is as it should be
        ((0.66, 0.67), (0.40, 0.655), (0.57, 0.50), False),
        ((0.66, 0.67), (0.40,), (0.57, 0.50), False),
    ],
)
def test_lower_losses_that_decide_worse_tell_of_another_balance(
    without: Sequence[float], having: Sequence[float], decides: tuple[float, float], is_unlike: bool
) -> None:
    assert bool(find_unlike_balance(table(losses(without, having, decides)))) is is_unlike


def test_another_balance_is_said_of_its_target_and_above_all_cells() -> None:
    there = made_of(*losses((0.66, 0.67), (0.40, 0.48), (0.57, 0.50)))
    own = [row("asthma", ("t1", "metadata"), 0.6, "binary", run_id="a")]
    found = beside_of(there, table(own))
    (of_target,) = found["targets"]["cautions"]
    assert "models with imaging have losses of 0.48 and less, those without of 0.66 and more" in of_target[-1]
    assert any(caution.startswith("Of 1 target (asthma)") for caution in found["cautions"])


def test_the_picture_has_every_compared_cell_of_a_series_in_its_table(other: OtherTable) -> None:
    linear = [of | {"method": "baseline", "network": "linear", "score": 0.0} for of in rows()]
    comparison = compare(table([*rows(), *linear]), None)
    beside = Beside(table=other, settings={})
    drawn = list(draw_beside_pictures(report_content(comparison, DICTIONARY, ABOUT, beside=beside)))
    assert [of.name for of in drawn] == ["beside-separate-fusion", "beside-baseline-linear"]
    assert drawn[0].table["target"].to_list() == ["age", "age", "sex"]
    assert drawn[0].table["difference"].to_list() == [0.1, 0.0, -0.05]
    svg = to_svg(drawn[0].figure).decode()
    assert "balanced accuracy here" in svg and "R² there" in svg and "other.csv" in svg
    assert not list(draw_beside_pictures(report_content(comparison, DICTIONARY, ABOUT)))


def test_a_table_without_a_target_of_the_report_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text(published_csv_of_scores(table(THERE)))
    with pytest.raises(TrainError, match=r"no target of this report\. It has age, weight, sex, Grip; .* has Hb"):
        read_other_table(path, DICTIONARY, ["Hb"])


def test_the_published_table_beside_itself_differs_nowhere() -> None:
    named = os.environ.get(PUBLISHED_TABLE)
    if not named:
        pytest.skip(f"{PUBLISHED_TABLE} does not name a copy of the published table, which is not part of mm")
    dictionary = load_dictionary()
    other = read_other_table(Path(named), dictionary, ["age"])
    assert tuple(find_unlike_balance(other.scores)) == RARE
    about = About(title="published", source="table", made_on="2026-11-28")
    comparison = compare(read_published(Path(named), dictionary), None)
    beside = Beside(table=other, settings={})
    found = report_content(comparison, dictionary, about, beside=beside)["beside"]
    assert set(found["cells"]["difference"]) == {0.0} and len(found["cells"]["model"]) == 700
    assert found["unmatched"]["reason"] == [] and found["series"]["num_targets"] == [25]
    assert sum(map(bool, found["cells"]["predicts_one_class"])) == sum(found["targets"]["one_class"]) == 169
    assert any(", ".join(RARE) in caution for caution in found["cautions"])
