"""Checks of all that was exported: ACRO's rules, on a record that knows groups and nobody in them."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from catalog.database import open_catalog
from catalog.samples import enrol
from mmbase.records import Visit
from mmdata.ledger.receipt_kinds import ExportedGroup, SummaryReceipt
from mmdata.ledger.receipts import read_summaries
from mmdata.study import Study
from mmstudy.privacy.disclosure import ExportedPeople, check_summaries, dominated, find_differences
from mmstudy.privacy.summaries import record_summaries
from mmstudy.privacy.wording import NOTHING, finding_lines, warning_of_exports
from mmtrain.data.cohort import read_cohort
from mmtrain.run import RunDirectory
from tests.mmstudy.privacy.folds import make_folds


def group(name: str, people: range, num_then: int | None = None, subject: str = "age") -> ExportedPeople:
    return ExportedPeople(
        name=name,
        people=np.array(people),
        num_then=len(people) if num_then is None else num_then,
        subject=subject,
    )


def pairs(*groups: ExportedPeople) -> set[tuple[str, ...]]:
    return {finding.summaries for finding in find_differences(groups)}


def test_groups_that_differ_by_one_to_nine_people_are_found_and_no_others() -> None:
    first = group("a", range(100))
    assert pairs(first, group("b", range(91))) == {("b", "a")}
    assert pairs(first, group("b", range(5, 104))) == {("b", "a")}
    assert pairs(first, group("b", range(90))) == set()
    assert pairs(first, group("b", range(200, 300))) == set()
    assert pairs(first, group("the same", range(100))) == set()
    assert pairs(first, group("b", range(91), subject="weight")) == set()  # who lacks a label tells of no score


def test_of_groups_that_are_equal_since_a_withdrawal_the_numbers_of_then_tell() -> None:
    before, after = group("before", range(97), num_then=100), group("after", range(97))
    assert pairs(before, after) == {("after", "before")}
    assert pairs(group("before", range(80), num_then=100), group("after", range(80))) == set()


def test_dominance_is_that_of_acro() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = rng.pareto(0.3, 12)
        largest = np.sort(values)[::-1]
        rules = {finding.rule for finding in dominated("x", values)}
        assert ("p % rule" in rules) == ((values.sum() - largest[0] - largest[1]) / largest[0] < 0.1)
        assert ("nk rule" in rules) == (largest[:2].sum() / values.sum() > 0.9)
    assert list(dominated("zeros", np.zeros(20))) == []


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Five folds, whose samples are in the catalogue; of fold 2 three test participants lack the label."""
    made = make_folds(tmp_path / "study", people=300, features=3, penalty=1.0)
    with open_catalog(made.layout.catalog, writable=True) as catalog:
        visits = [Visit(eid=1000000 + i, instance=2) for i in range(300)]
        enrolled = enrol(catalog, visits, salt=made.config.salt, val=0.1, test=0.1)
    ids = sorted(sample.sample_id for sample in enrolled.samples.values())
    for run in map(RunDirectory, made.layout.runs.iterdir()):
        cohort = pl.read_parquet(run.cohort).with_columns(sample_id=pl.Series(ids))
        cohort.write_parquet(run.cohort)
    return made


def without_labels(run: RunDirectory, split: str, number: int) -> None:
    cohort = pl.read_parquet(run.cohort).with_row_index("place")
    gone = cohort.filter(pl.col("split") == split)["place"].to_list()[:number]
    label = pl.when(pl.col("place").is_in(gone)).then(None).otherwise(pl.col("target"))
    cohort.with_columns(target=label).drop("place").write_parquet(run.cohort)


def test_folds_that_share_no_small_difference_pass(study: Study) -> None:
    runs = [RunDirectory(study.layout.runs / f"fold{number}") for number in (1, 2)]
    record_summaries(study.layout, "report", [(run, ["age"]) for run in runs])
    assert check_summaries(study) == [] and finding_lines([]) == [NOTHING] and warning_of_exports([]) == []


def test_a_second_export_of_nearly_the_same_people_is_told_of(study: Study) -> None:
    run = RunDirectory(study.layout.runs / "fold1")
    record_summaries(study.layout, "bundle", [(run, ["age"])])
    other = RunDirectory(run.path.with_name("again"))
    other.path.mkdir()
    for path in (run.cohort, run.config):
        (other.path / path.name).write_bytes(path.read_bytes())
    without_labels(other, "test", 4)
    record_summaries(study.layout, "report", [(other, ["age"])])
    (found,) = check_summaries(study)
    assert found.rule == "differencing" and all("age, test" in name for name in found.summaries)
    assert {name.split(" (")[0] for name in found.summaries} == {"bundle of fold1", "report of again"}
    assert check_summaries(study, only_run="fold2") == [] and check_summaries(study, only_run="again") == [found]
    assert "differencing" in finding_lines([found])[0] and "4" not in found.meaning
    assert "mm privacy --exports" in warning_of_exports([found])[0]


def test_a_label_that_two_people_dominate_is_told_of(study: Study) -> None:
    run = RunDirectory(study.layout.runs / "fold1")
    cohort = pl.read_parquet(run.cohort).with_row_index("place")
    richest = cohort.filter(pl.col("split") == "test")["place"].to_list()[:2]
    label = pl.when(pl.col("place").is_in(richest)).then(1e9).otherwise(pl.col("target"))
    cohort.with_columns(target=label).drop("place").write_parquet(run.cohort)
    record_summaries(study.layout, "bundle", [(run, ["age"])])
    found = check_summaries(study)
    assert {finding.rule for finding in found} == {"p % rule", "nk rule"}
    assert all("age, test: age" in finding.summaries[0] for finding in found)
    assert not any("1000000000" in str(finding) for finding in found)


def test_an_equal_cohort_is_read_once_and_each_run_that_has_it_is_told_of(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, other = (RunDirectory(study.layout.runs / name) for name in ("fold1", "again"))
    cohort = pl.read_parquet(run.cohort).with_row_index("place")
    richest = cohort.filter(pl.col("split") == "test")["place"].to_list()[:2]
    label = pl.when(pl.col("place").is_in(richest)).then(1e9).otherwise(pl.col("target"))
    cohort.with_columns(target=label).drop("place").write_parquet(run.cohort)
    other.path.mkdir()
    for path in (run.cohort, run.config):
        (other.path / path.name).write_bytes(path.read_bytes())
    read: list[Path] = []
    for module in ("disclosure", "summaries"):
        monkeypatch.setattr(
            f"mmstudy.privacy.{module}.read_cohort", lambda path: (read.append(path), read_cohort(path))[1]
        )
    record_summaries(study.layout, "report", [(run, ["age"]), (other, ["age"])])
    found = check_summaries(study)
    assert len(read) == 2
    assert [(finding.rule, finding.summaries[0].split(" (")[0]) for finding in found] == [
        (rule, f"report of {name}") for name in ("fold1", "again") for rule in ("p % rule", "nk rule")
    ]


def test_groups_of_the_test_split_are_on_record_of_the_run_that_told_of_them(study: Study) -> None:
    runs = [RunDirectory(study.layout.runs / f"fold{number}") for number in (1, 2)]
    for run in runs:
        cohort = pl.read_parquet(run.cohort)
        cohort.with_columns(pl.lit(1.0).alias("group_sex")).write_parquet(run.cohort)
    record_summaries(study.layout, "report", [(run, ["age"]) for run in runs], {"fold2": {("age", "sex", "male")}})
    told = {receipt.run_id: [group.by for group in receipt.groups] for receipt in read_summaries(study.layout.receipts)}
    assert told == {"fold1": ["", "", ""], "fold2": ["", "", "", "sex"]}


def test_the_record_holds_groups_of_ten_and_more_once_and_no_sample(study: Study) -> None:
    run = RunDirectory(study.layout.runs / "fold1")
    without_labels(run, "val", 60)
    for _ in range(2):
        record_summaries(study.layout, "bundle", [(run, ["age"])])
    (receipt,) = read_summaries(study.layout.receipts)
    assert isinstance(receipt, SummaryReceipt) and all(of.people >= 10 for of in receipt.groups)
    content = (study.layout.receipts / "summaries.jsonl").read_text()
    assert not any(name in content for name in pl.read_parquet(run.cohort)["sample_id"])
    assert receipt.groups[0] == ExportedGroup(target="age", split="train", people=receipt.groups[0].people)


def test_what_cannot_be_checked_is_said(study: Study) -> None:
    run = RunDirectory(study.layout.runs / "fold1")
    record_summaries(study.layout, "bundle", [(run, ["age"])])
    run.cohort.unlink()
    assert [finding.rule for finding in check_summaries(study)] == ["not checked"]
