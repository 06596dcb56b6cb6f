"""`--preset reference` against the published step written down again: loss, gradients, weights and validation loss."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray

from mmtrain.config.presets import PRESETS
from mmtrain.data.cohort import read_cohort
from mmtrain.data.portions import epoch_portions
from mmtrain.data.stream import StoredBatch
from mmtrain.evaluate import evaluate
from mmtrain.learner import Learner, build_learner, take_step
from mmtrain.ranks.dropout import PartDropout
from mmtrain.task import Task, prepare_task, training_portions
from tests.mmtrain.conftest import TinyStudy, make_tiny_study
from tests.mmtrain.published_step import PublishedBatch, published_loss

RELATIVE = 1e-6
ZERO = 1e-12
"""Gradients of biases before a batch norm are 0 but for rounding."""
FEATURES, SHOWN = ("HDL", "LDL", "sex"), ("LDL", "sex")
"""HDL stands for the target's own block, LDL has gaps."""
WITH_METADATA = {"metadata_blocks": ("serology",), "features": FEATURES, "shown_features": SHOWN}
VOLUMES = ("flair", "t1", "dwi")
CASES: dict[str, dict[str, Any]] = {
    "volumes": {"inputs": VOLUMES},
    "one volume": {"inputs": ("dwi",)},
    "volumes and connectivity": {"inputs": ("flair", "t1", "connectivity")},
    "metadata alone": {"inputs": ("metadata",), **WITH_METADATA},
    "everything": {"inputs": (*VOLUMES, "connectivity", "metadata"), **WITH_METADATA},
}
TARGETS: dict[str, dict[str, Any]] = {
    "continuous": {},
    "binary": {"target": "sex", "kind": "classification"},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> TinyStudy:
    return make_tiny_study(tmp_path_factory.mktemp("published") / "study", with_dwi=True)


@dataclass(frozen=True)
class Step:
    """One step of ours, and the cohort as it is on the disk: the labels of the task are clamped."""

    task: Task
    learner: Learner
    batch: StoredBatch
    table: pl.DataFrame

    @property
    def labels(self) -> NDArray[np.float64]:
        """Return the label of every sample."""
        return self.table["target"].cast(pl.Float64).to_numpy()

    @property
    def training_labels(self) -> NDArray[np.float64] | None:
        """Return what a continuous target is scaled by."""
        is_binary = self.task.config.kind == "classification"
        return None if is_binary else self.labels[self.task.cohort.members("train")]


def prepare(study: TinyStudy, side: int = 8, **settings: Any) -> Step:
    """Return a step of the preset in float64 without dropout, on integers whose scaling is exact in float32."""
    given = {**PRESETS["reference"], "channels": (4, 6), "batch_size": 8, "precision": "float64", "side": side}
    given |= settings
    run = study.begin(**given)
    task = prepare_task(read_cohort(run.cohort), study.layout, study.configure(**given))
    learner = build_learner(task)
    for module in learner.network.modules():
        if isinstance(module, PartDropout):
            module.probability = 0.0
    request = training_portions(task, 1)[0].request
    rng, num = np.random.default_rng(3), len(request.rows)
    stored = {name: exact_volumes(rng, num, side) for name in VOLUMES if name in task.config.data.inputs}
    if "connectivity" in task.config.data.inputs:
        stored["connectivity"] = rng.normal(size=(num, 12)).astype(np.float32)
    batch = StoredBatch(request, {name: torch.from_numpy(values) for name, values in stored.items()})
    return Step(task, learner, batch, pl.read_parquet(run.cohort))


def exact_volumes(rng: np.random.Generator, num: int, side: int) -> NDArray[np.uint16]:
    """Return volumes that each span 2**15 from a bottom of its own."""
    volumes = rng.integers(0, 2**15 + 1, (num, side, side, side))
    volumes[:, 0, 0, 0], volumes[:, 0, 0, 1] = 0, 2**15
    return (volumes + rng.integers(0, 2**14, (num, 1, 1, 1))).astype(np.uint16)


def published_batch(step: Step, positions: NDArray[np.int64], stored: dict[str, NDArray[Any]]) -> PublishedBatch:
    """Return samples as the published step reads them; gaps of metadata have the mean of training."""
    metadata = None
    if "metadata" in step.task.config.data.inputs:
        table = step.table.with_columns(feature_HDL=pl.lit(1.5))
        columns = table.select(pl.col(f"feature_{name}").cast(pl.Float64) for name in FEATURES).to_numpy()
        means = np.nanmean(columns[step.table["split"].to_numpy() == "train"], axis=0)
        metadata = np.where(np.isnan(columns), means, columns)[positions]
    return PublishedBatch(
        volumes={name: values for name, values in stored.items() if name != "connectivity"},
        edges=stored.get("connectivity"),
        metadata=metadata,
        is_shown=np.array([name in SHOWN for name in FEATURES]),
        labels=step.labels[positions],
    )


def weights_of(step: Step) -> dict[str, torch.Tensor]:
    """Return copies of parameters and running moments by name."""
    weights = {name: tensor.detach().clone() for name, tensor in step.learner.network.state_dict().items()}
    return {
        name: t.requires_grad_("running_" not in name) if t.is_floating_point() else t for name, t in weights.items()
    }


def take(step: Step) -> tuple[float, dict[str, torch.Tensor | None]]:
    """Take the step; return its mean loss without penalty, and the gradients it is taken with."""
    gradients: dict[str, torch.Tensor | None] = {}

    def look(*_: Any) -> None:
        parameters = step.learner.network.named_parameters()
        gradients.update({name: None if p.grad is None else p.grad.clone() for name, p in parameters})

    handle = step.learner.optimizer.register_step_pre_hook(look)
    step.learner.network.train()
    portion = training_portions(step.task, 1)[0]
    total = take_step(step.task, step.learner, portion, step.batch, 1).item()
    handle.remove()
    return total / len(portion.request.rows), gradients


def require_parity(step: Step) -> None:
    """Compare one step and the validation behind it."""
    network, task = step.learner.network, step.task
    before = weights_of(step)
    stored = {name: tensor.numpy() for name, tensor in step.batch.stored.items()}
    batch, side = published_batch(step, step.batch.request.positions, stored), task.config.data.side
    expected = published_loss(batch, before, side, step.training_labels, training=True)
    parameters = {name: tensor for name, tensor in before.items() if tensor.requires_grad}
    wanted = dict(
        zip(parameters, torch.autograd.grad(expected, list(parameters.values()), allow_unused=True), strict=True)
    )
    assert task.architecture.penalty is not None
    penalty = task.architecture.penalty(network, task.config.model).item()
    loss, gradients = take(step)
    assert loss + penalty == pytest.approx(expected.item(), rel=RELATIVE)
    assert gradients.keys() == wanted.keys()
    for name, gradient in wanted.items():
        found = gradients[name]
        assert (gradient is None) == (found is None), name
        if gradient is not None and found is not None:
            torch.testing.assert_close(
                found, gradient, rtol=RELATIVE, atol=ZERO, msg=lambda text, n=name: f"{n}: {text}"
            )
            parameters[name].grad = gradient
    torch.optim.Adam(parameters.values(), lr=1e-4).step()
    for name, parameter in network.named_parameters():
        if wanted[name] is not None and wanted[name].abs().max() > 1e-9:
            torch.testing.assert_close(parameter.detach(), parameters[name].detach(), rtol=RELATIVE, atol=1e-9)
    require_equal_validation(step)


def require_equal_validation(step: Step) -> None:
    task = step.task
    members = task.cohort.members("val")
    stored = {
        name: array.read_rows([(int(row),) for row in task.cohort.rows[members]])
        for name, array in task.stores.originals.items()
    }
    batch = published_batch(step, members, stored)
    with torch.no_grad():
        expected = published_loss(batch, weights_of(step), task.config.data.side, step.training_labels, training=False)
    assert evaluate(task, step.learner.network, "val")[0] == pytest.approx(expected.item(), rel=RELATIVE)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_a_step_has_the_loss_and_the_gradients_of_the_published_one(study: TinyStudy, case: str, target: str) -> None:
    require_parity(prepare(study, **CASES[case], **TARGETS[target]))


def test_a_step_at_the_published_widths_is_the_published_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    study = make_tiny_study(tmp_path_factory.mktemp("wide") / "study", ["train"] * 10 + ["val"] * 3 + ["test"] * 3, 32)
    step = prepare(study, 32, inputs=("flair", "t1"), channels=(32, 64, 128, 256, 256), batch_size=3)
    assert step.learner.network.cnn.conv_layers[9].weight.shape == (256, 256, 3, 3, 3)
    require_parity(step)


def test_an_unused_imaging_network_is_part_of_the_loss_and_of_the_published_one_too(study: TinyStudy) -> None:
    step = prepare(study, **CASES["metadata alone"])
    unused = {name for name in weights_of(step) if name.startswith("cnn.")}
    assert len(unused) > 10
    without = prepare(study, **CASES["metadata alone"], keep_imaging=False)
    assert not unused & weights_of(without).keys()
    losses = [evaluate(one.task, one.learner.network, "val")[0] for one in (step, without)]
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize(
    "fault",
    [{"weight_penalty": 2e-4}, {"connectivity_penalty": 1e-4}, {"volume_scaling": "stored"}],
    ids=lambda fault: next(iter(fault)),
)
def test_the_comparison_sees_what_is_not_the_published_step(study: TinyStudy, fault: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        require_parity(prepare(study, **CASES["everything"], **fault))


def test_validation_of_ours_leaves_the_penalty_out(study: TinyStudy) -> None:
    step = prepare(study, **CASES["volumes"])
    plain = prepare(study, **CASES["volumes"], penalty_in_validation=False)
    plain.learner.network.load_state_dict(step.learner.network.state_dict())
    assert step.task.architecture.penalty is not None
    penalty = step.task.architecture.penalty(step.learner.network, step.task.config.model).item()
    (with_penalty, predicted), (without, same) = (evaluate(s.task, s.learner.network, "val") for s in (step, plain))
    assert with_penalty - without == pytest.approx(penalty)
    np.testing.assert_array_equal(predicted, same)


def test_labels_are_judged_clamped_to_the_percentiles_of_training(study: TinyStudy) -> None:
    ages = study.ages.copy()
    held_out = np.flatnonzero(np.array(study.splits) != "train")
    ages[held_out[0]], ages[held_out[-1]] = 20.0, 130.0
    settings = {"inputs": ("connectivity",), "epochs": 1}
    clamped = study.train({"target": ages.tolist()}, **settings, clamp_labels=True)
    plain = study.train({"target": ages.tolist()}, **settings)
    bounds = np.percentile(ages[np.array(study.splits) == "train"], [0.5, 99.5])
    found, unclamped = (pl.read_parquet(run.predictions) for run in (clamped, plain))
    np.testing.assert_allclose(found["truth"], np.clip(ages[held_out], *bounds))
    assert unclamped["truth"].to_list() == ages[held_out].tolist()
    assert found["prediction"].to_list() == unclamped["prediction"].to_list()
    test = found.filter(split="test")
    metrics, others = (json.loads(run.metrics.read_text()) for run in (clamped, plain))
    assert metrics["test"]["mae"] == pytest.approx((test["truth"] - test["prediction"]).abs().mean())
    assert metrics["clamped_labels"] is True and "clamped_labels" not in others
    classes = study.train(**settings, **TARGETS["binary"], clamp_labels=True)
    assert "clamped_labels" not in json.loads(classes.metrics.read_text())


def test_each_epoch_reads_the_next_copy_and_full_batches_alone(study: TinyStudy) -> None:
    task = prepare(study, **CASES["one volume"]).task
    for index in range(5):
        portions = epoch_portions(task.cohort, task.config, index + 1, num_copies=2, rank=0, size=1)
        assert [len(portion.request.rows) for portion in portions] == [8, 8, 8]  # of 26
        assert {copy for portion in portions for copy in portion.request.copies.tolist()} == {index % 2 + 1}
