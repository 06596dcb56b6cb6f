"""Runs that predict several targets at once, some labels of which are missing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn import metrics as sk
from torch.nn import functional

from mmtrain.config.run import parse_run_config
from mmtrain.data.cohort import read_cohort
from mmtrain.errors import TrainError
from mmtrain.learner import build_learner
from mmtrain.models.trained import load_model
from mmtrain.page.live import live_page
from mmtrain.report import metrics_table
from mmtrain.run import find_run
from mmtrain.task import prepare_task, sample_losses, stream_task, training_portions

INPUTS = {"inputs": ("connectivity",)}
REGRESSION = ("mae", "r2", "r")
CLASSIFICATION = ("balanced_accuracy", "auc", "f1", "precision", "recall")


@pytest.fixture(scope="module")
def run(tiny: Any) -> Any:
    """A finished run of two targets."""
    return tiny.train(**tiny.two_targets, **INPUTS, keep_page=live_page)


def test_the_loss_of_a_sample_is_the_mean_over_targets_and_a_missing_label_counts_nothing(tiny: Any) -> None:
    task = tiny.prepare(**tiny.two_targets, **INPUTS, balance="none", precision="float64")
    ages, classes = task.cohort.labels_NT.T
    training = task.cohort.members("train")
    outputs = torch.randn(len(training), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = sample_losses(task, outputs, training).numpy()

    known = [~np.isnan(labels[training]) for labels in (ages, classes)]
    assert [of.sum() for of in known] == [19, 20]
    low, high = np.percentile(ages[training][known[0]], (0.5, 99.5))
    scaled = np.clip(ages[training], low, high) * 2 / (high - low) - (high + low) / (high - low)
    of_age = (outputs[:, 0].numpy() - scaled) ** 2
    pair = torch.from_numpy(np.stack([1 - classes[training], classes[training]], axis=1)).nan_to_num()
    of_sex = functional.binary_cross_entropy_with_logits(outputs[:, 1:], pair, reduction="none").mean(1).numpy()
    expected = np.where(known[0], of_age / (19 / 26), 0) / 2 + np.where(known[1], of_sex / (20 / 26), 0) / 2
    np.testing.assert_allclose(found, expected)
    assert found.mean() == pytest.approx((of_age[known[0]].mean() + of_sex[known[1]].mean()) / 2)


def test_an_output_gets_no_gradient_from_a_label_that_is_missing(tiny: Any) -> None:
    task = tiny.prepare(**tiny.two_targets, **INPUTS, precision="float64")
    outputs = torch.zeros(26, 3, dtype=torch.float64, requires_grad=True)
    sample_losses(task, outputs, task.cohort.members("train")).sum().backward()
    missing = np.isnan(task.cohort.labels_NT[:26])
    assert (outputs.grad[missing[:, 0], 0] == 0).all() and (outputs.grad[missing[:, 1], 1:] == 0).all()
    assert (outputs.grad[~missing[:, 0], 0] != 0).all() and (outputs.grad[~missing[:, 1], 1:] != 0).all()


@pytest.mark.parametrize(("balance", "weighted"), [("undersample", True), ("weight", True), ("none", False)])
def test_classes_are_weighted_and_no_sample_is_left_out(tiny: Any, balance: str, weighted: bool) -> None:
    task = tiny.prepare(**tiny.two_targets, **INPUTS, balance=balance)
    assert (task.targets.kinds[1].class_weights != (1.0, 1.0)) == weighted
    assert sum(len(portion.request.positions) for portion in training_portions(task, 1)) == 26


def test_the_settings_survive_the_file(tiny: Any) -> None:
    begun = tiny.begin(**tiny.two_targets, **INPUTS)
    assert begun.run_id.startswith("age-sex_connectivity_")
    found, config = find_run(tiny.layout.runs, begun.run_id)
    assert [(target.name, target.kind, target.unit) for target in config.data.targets] == [
        ("age", "regression", "years"),
        ("sex", "classification", "1 male"),
    ]
    assert config.kind == "several"
    assert parse_run_config(json.loads(json.dumps(config.to_json()))) == config
    assert config.changed(epochs=7).data == config.data
    stored = json.loads(found.config.read_text())["train"]
    assert (stored["target"], stored["kind"], stored["unit"]) == ("age,sex", "several", "")


def test_predictions_are_told_for_each_target_of_those_that_have_its_label(tiny: Any, run: Any) -> None:
    table = pl.read_parquet(run.predictions)
    assert table.columns == ["sample_id", "split", "truth", "prediction", "target"]
    for name, labels in tiny.two_targets["labels"].items():
        of_target = table.filter(target=name.removeprefix("target_"))
        known = [i for i in range(26, 40) if labels[i] is not None]
        assert sorted(int(sample, 16) for sample in of_target["sample_id"]) == known
        truth = {int(sample, 16): value for sample, value in of_target.select("sample_id", "truth").iter_rows()}
        assert truth == {i: labels[i] for i in known}
    assert table.null_count().sum_horizontal().item() == 0


def test_metrics_are_told_for_each_target_and_follow_from_its_predictions(tiny: Any, run: Any) -> None:
    metrics, table = json.loads(run.metrics.read_text()), pl.read_parquet(run.predictions)
    assert (metrics["target"], metrics["kind"]) == ("age,sex", "several")
    assert metrics["n"] == {"train": 26, "val": 7, "test": 7}
    assert [metrics["targets"][name]["kind"] for name in ("age", "sex")] == ["regression", "classification"]
    for name, names in (("age", REGRESSION), ("sex", CLASSIFICATION)):
        of_target = metrics["targets"][name]
        for split in ("val", "test"):
            assert set(names) <= set(of_target[split]) == set(of_target["intervals"][split])
            assert of_target["n"][split] == table.filter(target=name, split=split).height < 7
            assert {f"{name}.{key}": value for key, value in of_target[split].items()}.items() <= metrics[split].items()
    assert metrics["targets"]["age"]["n"]["train"] == 19
    part = table.filter(target="age", split="test")
    expected = sk.mean_absolute_error(part["truth"].to_numpy(), part["prediction"].to_numpy())
    assert metrics["targets"]["age"]["test"]["mae"] == pytest.approx(expected)
    entry = tiny.epochs(run)[metrics["best_epoch"] - 1]
    assert entry["val"] == pytest.approx({name: metrics["val"][name] for name in entry["val"]})
    assert "training_median" in metrics["targets"]["age"] and "decision" in metrics["targets"]["sex"]
    assert {"losses", "minutes", "parameters"} <= metrics.keys() and "intervals" not in metrics


def test_there_is_a_picture_for_each_target(run: Any, require_picture: Any) -> None:
    pictures = {path.name for path in run.plots.glob("*.png")}
    assert {"loss.png", "test_age.png", "test_sex.png", "calibration_sex.png"} <= pictures
    assert {path.stem for path in run.plots.glob("*.svg")} == {path.stem for path in run.plots.glob("*.png")}
    for name in ("loss.png", "speed.png"):
        require_picture(run.plots / name)
    page = run.report.read_text()
    assert 'id="target0">Result: age (years)' in page and 'id="target1">Result: sex (1 male)' in page


def test_the_table_has_every_target(tiny: Any, run: Any) -> None:
    _, config = find_run(tiny.layout.runs, run.run_id)
    table = metrics_table(json.loads(run.metrics.read_text()), config.data.targets)
    first = [str(row[0]) for row in table.rows]
    assert first[:3] == ["age", "n", "MAE (years)"] and first[first.index("sex") :][:3] == ["sex", "n", "AUC"]
    assert not {"recall of class 1", "micro AUC (published as AUC)"}.intersection(first)


def test_the_model_predicts_every_target(tiny: Any, run: Any) -> None:
    config = find_run(tiny.layout.runs, run.run_id)[1]
    task = prepare_task(read_cohort(run.cohort), tiny.layout, config)
    (portion,) = training_portions(task, 1)[:1]
    edges = next(stream_task(task, [portion.request])).stored["connectivity"].numpy().copy()
    predicted = load_model(run.path).predict(connectivity=edges)
    assert list(predicted) == ["age", "sex"]
    assert (predicted["age"] > 20).all() and ((predicted["sex"] > 0) & (predicted["sex"] < 1)).all()


def test_the_linear_models_fit_each_target_on_the_samples_that_have_it(tiny: Any) -> None:
    settings = {**INPUTS, "model": "linear", "channels": ()}
    both = tiny.train(**tiny.two_targets, **settings)
    table = pl.read_parquet(both.predictions)
    assert table.filter(target="age").select(pl.corr("truth", "prediction")).item() > 0.95
    weights = load_model(both.path).network.layer.weight
    assert weights.shape == (3, 12)
    assert torch.equal(weights[1], -weights[2])


def test_a_cohort_of_other_targets_or_in_another_order_is_refused(tiny: Any) -> None:
    targets, labels = tiny.two_targets["targets"], tiny.two_targets["labels"]
    with pytest.raises(TrainError, match=r"labels for sex, age, in this order, got age, sex"):
        tiny.prepare(labels, targets=targets[::-1], **INPUTS)
    with pytest.raises(TrainError, match="labels for age, sex, in this order, got target"):
        tiny.prepare(targets=targets, labels={"target": tiny.ages}, **INPUTS)
    with pytest.raises(TrainError, match="labels for age, in this order, got age, sex"):
        tiny.prepare(labels, **INPUTS)


@pytest.mark.parametrize(
    ("ages", "message"),
    [([None] * 26, "No training sample has a label of age"), ([61.0] * 26, r"age: The target is 61 for all training")],
)
def test_a_target_that_cannot_be_learnt_is_named(tiny: Any, ages: list[float | None], message: str) -> None:
    given = tiny.two_targets
    labels = {**given["labels"], "target_age": [*ages, *tiny.ages[26:]]}
    with pytest.raises(TrainError, match=message):
        tiny.prepare(labels, targets=given["targets"], **INPUTS)


def test_one_target_after_the_other_has_the_outputs_of_its_kind(tiny: Any) -> None:
    task = tiny.prepare(**tiny.two_targets, **INPUTS)
    assert task.shape.num_outputs == task.targets.num_outputs == 3
    assert build_learner(task).network.mlp_logits.dense_layers[-1].out_features == 3


def test_names_of_targets_are_those_of_columns(tmp_path: Path, tiny: Any) -> None:
    cohort = read_cohort(tiny.begin(**tiny.two_targets, **INPUTS).cohort)
    assert cohort.targets == ("age", "sex")
    assert cohort.labelled("val", 0).sum() == 7 - sum(i % 4 == 1 for i in range(26, 33))
