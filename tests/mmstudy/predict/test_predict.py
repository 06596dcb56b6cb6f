"""Predictions of a run, from raw files and from the stores, against what the run itself predicted."""

import json
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from catalog.errors import CatalogError
from catalog.identity import sample_id
from mmbase.errors import MmError
from mmbase.names import CONNECTIVITY
from mmdata.ledger.receipts import read_outputs, read_samples
from mmdata.store.array import open_array
from mmstudy.api import OpenStudy
from mmstudy.predict.predict import plan_prediction, run_prediction
from mmstudy.predict.request import PredictRequest
from mmstudy.predict.samples import LEARNT_FROM
from mmstudy.predict.summary import summary_lines
from mmtrain.data.cohort import read_cohort
from mmtrain.intervals import Intervals, TargetIntervals, write_intervals
from mmtrain.models.trained import load_model
from tests.mmstudy.predict.conftest import Trained, silent

CLOSE = 1e-4


def require_own(trained: Trained, predicted: pl.DataFrame) -> None:
    """Compare predictions with those of the run."""
    joined = trained.own.join(predicted, on=["sample_id", "target"], how="left")
    assert len(joined) == len(trained.own) > 4
    assert set(joined["status"]) == {"predicted"}
    np.testing.assert_allclose(joined["prediction_right"], joined["prediction"], atol=CLOSE)


@pytest.mark.parametrize(("workers", "batch_size"), [(0, 1), (0, 64), (2, 3)])
def test_raw_files_give_what_the_run_itself_predicted(
    trained: Trained, tmp_path: Path, workers: int, batch_size: int
) -> None:
    predicted, _ = trained.predict(
        tmp_path / "new.parquet", f"ukb:{trained.release}", workers=workers, batch_size=batch_size
    )
    require_own(trained, predicted)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_stored_samples_give_what_the_run_itself_predicted(trained: Trained, tmp_path: Path, batch_size: int) -> None:
    predicted, _ = trained.predict(tmp_path / "stored.csv", batch_size=batch_size)
    require_own(trained, predicted)


def test_a_folder_without_a_study_gives_the_same_for_people_without_names(trained: Trained, tmp_path: Path) -> None:
    bundle = trained.bundle(tmp_path / "passed-on")
    predicted, summary = trained.predict(tmp_path / "new.csv", trained.release, model=str(bundle.path), identify=True)
    names = list(dict.fromkeys(predicted["sample_id"]))
    assert names == [f"person-{place:04}" for place in range(1, len(names) + 1)]
    assert predicted["participant"].is_sorted()
    salt = trained.study.config.salt
    hashed = [sample_id(salt, *row) for row in predicted.select("participant", "instance").iter_rows()]
    require_own(trained, predicted.with_columns(sample_id=pl.Series(hashed)))
    assert summary.order == ""


def test_every_sample_has_a_row_and_a_reason_where_it_has_no_prediction(trained: Trained, tmp_path: Path) -> None:
    stored, summary = trained.predict(tmp_path / "stored.parquet")
    raw, _ = trained.predict(tmp_path / "raw.parquet", f"ukb:{trained.release}")
    every = read_samples(trained.study.layout.receipts)
    for predicted in (stored, raw):
        assert set(predicted["sample_id"]) == set(every)
        assert len(predicted) == 2 * len(every)
        lacking = predicted.filter(pl.col("status") != "predicted")
        assert lacking["prediction"].is_null().all()
        assert lacking["reason"].is_not_null().all()
        assert predicted.filter(status="predicted")["reason"].is_null().all()
    columns = ["sample_id", "target", "status", "reason"]
    assert stored.select(columns).sort("sample_id", "target").equals(raw.select(columns).sort("sample_id", "target"))
    reasons = stored["reason"].drop_nulls().to_list()
    assert any(reason.startswith("truncated (t1): ") for reason in reasons)
    assert any("no t1" in reason for reason in reasons)
    assert summary.num_predicted + summary.num_refused + summary.num_failed == len(every)


def test_samples_that_the_model_has_learnt_from_are_marked_and_counted(trained: Trained, tmp_path: Path) -> None:
    predicted, summary = trained.predict(tmp_path / "all.parquet")
    cohort = read_cohort(trained.run.cohort)
    learnt_from = {cohort.sample_ids[position] for position in cohort.members("train")}
    marked = predicted.filter(status="predicted").filter(pl.col("warnings").str.contains(LEARNT_FROM, literal=True))
    assert set(marked["sample_id"]) == learnt_from
    assert any(line.startswith(f"{len(learnt_from)} of the samples") for line in summary_lines(summary))


def test_binary_targets_have_a_class_by_the_threshold_of_the_run(trained: Trained, tmp_path: Path) -> None:
    predicted, _ = trained.predict(tmp_path / "all.parquet")
    threshold = json.loads(trained.run.metrics.read_text())["targets"]["sex"]["decision"]["threshold"]
    sex = predicted.filter(target="sex", status="predicted")
    assert sex["probability"].equals(sex["prediction"])
    assert sex["class"].to_list() == [int(value >= threshold) for value in sex["prediction"]]
    assert predicted.filter(target="age")["class"].is_null().all()


def test_too_few_validation_people_give_no_interval_and_the_summary_says_so(trained: Trained, tmp_path: Path) -> None:
    predicted, summary = trained.predict(tmp_path / "all.parquet")
    assert predicted["lower"].is_null().all()
    assert summary.without_intervals == ("age",)


@pytest.mark.parametrize("source", ["stores", "files"])
def test_a_sample_that_lacks_an_input_has_no_interval_and_the_summary_counts_it(
    trained: Trained, tmp_path: Path, source: str
) -> None:
    bundle = trained.bundle(tmp_path / "optional")
    card = json.loads(bundle.model_card.read_text())
    bundle.model_card.write_text(json.dumps(card | {"optional_inputs": card["inputs"]}))
    write_intervals(bundle.intervals, Intervals({"age": TargetIntervals(num_samples=20, half_widths={0.9: 3.0})}))
    sources = [f"ukb:{trained.release}"] if source == "files" else []
    predicted, summary = trained.predict(
        tmp_path / "ages.parquet", *sources, model=str(bundle.path), study=trained.study
    )
    ages = predicted.filter(status="predicted", target="age")
    lacks = pl.col("warnings").fill_null("").str.contains("without ", literal=True)
    complete, incomplete = ages.filter(~lacks), ages.filter(lacks)
    assert summary.num_incomplete == len(incomplete) > 0 and len(complete) > 0
    assert incomplete["lower"].is_null().all() and incomplete["upper"].is_null().all()
    np.testing.assert_allclose(complete["upper"] - complete["prediction"], 3.0)
    told = f"Predicted without an input, and so without an interval: {len(incomplete)}."
    assert any(line.startswith(told) for line in summary_lines(summary))


def test_samples_are_chosen_by_split_and_by_list(trained: Trained, tmp_path: Path) -> None:
    val, _ = trained.predict(tmp_path / "val.csv", split="val")
    assert set(trained.own.filter(split="val")["sample_id"]) <= set(val["sample_id"])
    assert set(trained.own.filter(split="test")["sample_id"]).isdisjoint(val["sample_id"])
    chosen = sorted(set(val["sample_id"]))[:2]
    (tmp_path / "list.txt").write_text("\n".join(chosen) + "\n\n")
    some, _ = trained.predict(tmp_path / "some.csv", sample_list=tmp_path / "list.txt")
    assert sorted(set(some["sample_id"])) == chosen
    (tmp_path / "list.txt").write_text("0" * 16)
    with pytest.raises(MmError, match="1 of the 1 sample ids listed are no samples"):
        trained.predict(tmp_path / "none.csv", sample_list=tmp_path / "list.txt")


def test_the_mean_of_several_models_is_told_with_their_spread(trained: Trained, tmp_path: Path) -> None:
    bundle = trained.bundle(trained.study.layout.models / "kept")
    card = json.loads(bundle.model_card.read_text())
    card["targets"][0]["scaling"]["high"] += 10.0  # ages further from the lowest
    bundle.model_card.write_text(json.dumps(card))
    both, _ = trained.predict(tmp_path / "both.parquet", model=f"{trained.run.run_id},kept", study=trained.study)
    ones = [
        trained.predict(tmp_path / f"{name}.parquet", model=name, study=trained.study)[0]
        for name in (trained.run.run_id, "kept")
    ]
    np.testing.assert_allclose(
        both["prediction"].drop_nulls(), sum(one["prediction"].drop_nulls() for one in ones) / 2, atol=1e-9
    )
    assert not np.allclose(ones[0]["prediction"].drop_nulls(), ones[1]["prediction"].drop_nulls())


def test_rows_are_turned_to_the_orientation_of_the_model(trained: Trained, tmp_path: Path) -> None:
    bundle = trained.bundle(tmp_path / "turned")
    card = json.loads(bundle.model_card.read_text())
    affine = card["stores"]["t1"]["affine_ras"]
    affine[0] = [-affine[0][0], 0.0, 0.0, -affine[0][3]]
    bundle.model_card.write_text(json.dumps(card))
    predicted, _ = trained.predict(tmp_path / "turned.csv", model=str(bundle.path), study=trained.study)
    chosen = predicted.filter(status="predicted", target="age").row(0, named=True)
    layout = trained.study.layout
    row = read_samples(layout.receipts)[chosen["sample_id"]].row
    volume = open_array(layout.volume_array("t1", 32)).read_rows([(row,)])
    edges = open_array(layout.connectivity_array("glasser360")).read_rows([(row,)])
    shown = [one["name"] for one in card["features"] if one["shown"]]
    values = OpenStudy(trained.study).samples(features=shown).filter(sample_id=chosen["sample_id"])
    features = {name: values[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in shown}
    expected = load_model(bundle.path).predict({"t1": volume[:, ::-1]}, edges, features)["age"][0]
    assert chosen["prediction"] == pytest.approx(expected, abs=CLOSE)
    assert CONNECTIVITY in card["inputs"]


def test_the_file_is_private_and_names_nobody_unless_that_is_asked_for(trained: Trained, tmp_path: Path) -> None:
    plain, named = tmp_path / "plain.csv", tmp_path / "named.csv"
    _, summary = trained.predict(plain, f"ukb:{trained.release}")
    identified, _ = trained.predict(named, f"ukb:{trained.release}", identify=True)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (plain, named)} == {0o600}
    eids = set(identified["participant"])
    assert all(eid > 999_999 for eid in eids)
    assert not any(str(eid) in plain.read_text() for eid in eids)
    assert "--identify" in summary.order


def test_a_file_that_shows_participants_of_the_study_is_on_record(trained: Trained, tmp_path: Path) -> None:
    stored, raw = tmp_path / "stored.csv", tmp_path / "raw.csv"
    trained.predict(stored, split="test")
    trained.predict(raw, f"ukb:{trained.release}")
    assert {str(stored), str(raw)} <= set(read_outputs(trained.study.layout.receipts))


def interrupted(what: str) -> "contextmanager[Callable[[int, int], None]]":
    """Press Ctrl-C once the first sample is done."""

    @contextmanager
    def show() -> Iterator[Callable[[int, int], None]]:
        def on_progress(done: int, total: int) -> None:
            if done:
                raise KeyboardInterrupt

        yield on_progress

    return show()


@pytest.mark.parametrize("is_new", [False, True])
def test_ctrl_c_leaves_no_file(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_new: bool) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    request = PredictRequest(
        models=(trained.run.run_id,),
        sources=(f"ukb:{trained.release}",) if is_new else (),
        output=tmp_path / "half.csv",
        device="cpu",
    )
    with pytest.raises(KeyboardInterrupt):
        run_prediction(trained.study, request, interrupted)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_end_well_is_refused_before_any_work(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "there.csv").touch()
    with pytest.raises(CatalogError, match=r"there.csv exists"):
        trained.predict(tmp_path / "there.csv")
    with pytest.raises(CatalogError, match=r"ends in .csv or .parquet"):
        trained.predict(tmp_path / "table.xlsx")
    with pytest.raises(MmError, match="there is no deviation of this name"):
        trained.predict(tmp_path / "new.csv", allowed=frozenset(["x-fliped"]))
    with pytest.raises(MmError, match="level between 0 and 1"):
        trained.predict(tmp_path / "new.csv", level=90)
    with pytest.raises(MmError, match="no study here"):
        run_prediction(None, PredictRequest(models=("any",), output=tmp_path / "new.csv"), silent)


def test_a_plan_counts_without_reading(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmstudy.models.cohort_of_run.read_batches", None)
    request = PredictRequest(
        models=(trained.run.run_id,), sources=(f"ukb:{trained.release}",), output=tmp_path / "a.csv", workers=2
    )
    plan = plan_prediction(trained.study, request)
    assert plan.num_samples == len(read_samples(trained.study.layout.receipts))
    assert plan.num_samples < plan.num_scans < 2 * plan.num_samples
    assert plan.workers == 2
    assert list(tmp_path.iterdir()) == []
