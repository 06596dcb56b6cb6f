"""A run that takes its imaging network from another: what is trained, what is kept, and what is refused."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from mmtrain.data.cohort import read_cohort
from mmtrain.errors import TrainError
from mmtrain.finished import open_finished_run
from mmtrain.models.networks.fusion import weight_penalty
from mmtrain.models.trained import load_model
from mmtrain.run import RunDirectory
from mmtrain.task import prepare_task
from mmtrain.train import train
from mmtrain.trunks import fixed
from mmtrain.trunks.embeddings import read_embeddings, write_embeddings
from tests.mmtrain.conftest import StopAfter

TRUNK: dict[str, Any] = {"inputs": ("t1", "flair"), "epochs": 1, "copies": 0, "augment": "none"}
HEAD: dict[str, Any] = {**TRUNK, "inputs": ("t1", "flair", "connectivity"), "epochs": 3}


def train_trunk(study: Any, **settings: Any) -> RunDirectory:
    """Train on age and sex together, from volumes alone."""
    pair = study.two_targets
    run: RunDirectory = study.train(pair["labels"], **{**TRUNK, "targets": pair["targets"], **settings})
    return run


def prepare(study: Any, run: RunDirectory, **settings: Any) -> Any:
    return prepare_task(read_cohort(run.cohort), study.layout, study.configure(**settings))


@pytest.fixture(scope="module")
def trunk(tiny: Any) -> RunDirectory:
    return train_trunk(tiny)


@pytest.fixture(scope="module")
def head(tiny: Any, trunk: RunDirectory) -> RunDirectory:
    run: RunDirectory = tiny.train(**HEAD, trunk=trunk.run_id)
    return run


@pytest.fixture
def own_embeddings(trunk: RunDirectory) -> Iterator[Path]:
    """The embeddings of the trunk's run, to change; as they were afterwards."""
    content = trunk.embeddings.read_bytes()
    yield trunk.embeddings
    trunk.embeddings.write_bytes(content)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many volumes were made embeddings of, each time that any were."""
    numbers: list[int] = []
    embed = fixed.embed

    def counted(part: Any, volumes: Any, rows: Any, *others: Any) -> Any:
        numbers.append(len(rows))
        return embed(part, volumes, rows, *others)

    monkeypatch.setattr(fixed, "embed", counted)
    return numbers


def test_predictions_from_volumes_are_those_from_embeddings(tiny: Any, head: RunDirectory) -> None:
    cohort, told = read_cohort(head.cohort), pl.read_parquet(head.predictions)
    row_of = dict(zip(cohort.sample_ids, cohort.rows.tolist(), strict=True))
    arrays = tiny.prepare(inputs=HEAD["inputs"], copies=0).stores.originals
    stored = {name: array.read_rows([(row_of[one],) for one in told["sample_id"]]) for name, array in arrays.items()}
    predicted = load_model(head.path).predict(connectivity=stored.pop("connectivity"), volumes=stored)["age"]
    assert np.abs(predicted - told["prediction"].to_numpy()).max() / tiny.ages.std() < 1e-5


def test_the_trunk_stays_as_it_was_and_the_rest_learns(trunk: RunDirectory, head: RunDirectory) -> None:
    before, after = load_file(trunk.model), load_file(head.model)
    imaging = [name for name in after if name.startswith("cnn.")]
    assert imaging and imaging == [name for name in before if name.startswith("cnn.")]
    assert all(torch.equal(before[name], after[name]) for name in imaging)
    losses = [json.loads(line)["train_loss"] for line in head.epochs.read_text().splitlines()]
    assert losses[-1] < losses[0]


def test_the_model_says_whose_imaging_network_it_has(trunk: RunDirectory, head: RunDirectory) -> None:
    card = load_model(head.path).card
    assert card.shape.parameters == {"channels": [4, 4], "trunk": trunk.run_id}
    told = card.trained_on["trunk"]
    assert (told["targets"], told["n"]) == (["age", "sex"], {"train": 26, "val": 7, "test": 7})
    assert len(told["weights"]) == 32
    assert json.loads(head.config.read_text())["train"]["trunk"] == trunk.run_id


def test_the_imaging_network_has_neither_gradients_nor_penalty(tiny: Any, head: RunDirectory) -> None:
    network, config = load_model(head.path).network, tiny.configure(**HEAD).model
    assert not any(parameter.requires_grad for parameter in network.get_submodule("cnn").parameters())
    before = weight_penalty(network, config)
    with torch.no_grad():
        for parameter in network.get_submodule("cnn").parameters():
            parameter.mul_(3)
    assert weight_penalty(network, config) == before


def test_a_finished_run_is_measured_again_from_volumes_without_its_trunk(
    tiny: Any, head: RunDirectory, trunk: RunDirectory
) -> None:
    opened = open_finished_run(head, tiny.layout, tiny.configure(**HEAD, trunk="gone"), "cpu")
    assert opened.task.trunk is None
    assert opened.task.channels.shape[1] == 2


def test_a_head_without_other_inputs_trains(tiny: Any, trunk: RunDirectory) -> None:
    run = tiny.train(**{**TRUNK, "trunk": trunk.run_id})
    assert json.loads(run.metrics.read_text())["inputs"] == ["t1", "flair"]


def test_a_stopped_run_is_resumed_to_the_same_model(tiny: Any, head: RunDirectory, trunk: RunDirectory) -> None:
    run, config = tiny.begin(**HEAD, trunk=trunk.run_id), tiny.configure(**HEAD, trunk=trunk.run_id)
    with pytest.raises(KeyboardInterrupt):
        train(run, tiny.layout, config, observers=[StopAfter(2)])
    assert "cnn.conv_layers.0.weight" not in load_file(run.checkpoint)
    train(run, tiny.layout, config, resumed=True)
    assert run.model.read_bytes() == head.model.read_bytes()


def test_volumes_are_read_once_for_each_trunk(tiny: Any, head: RunDirectory, read: list[int]) -> None:
    trunk = json.loads(head.config.read_text())["train"]["trunk"]
    prepare(tiny, head, **HEAD, trunk=trunk)
    assert read == []


def test_what_is_missing_or_made_from_something_else_is_made_again(
    tiny: Any, head: RunDirectory, trunk: RunDirectory, own_embeddings: Path, read: list[int]
) -> None:
    whole = read_embeddings(own_embeddings)
    assert whole is not None
    few = replace(whole, rows=whole.rows[3:], values_ND=whole.values_ND[3:], checksums_NM=whole.checksums_NM[3:])
    other_weights = replace(whole, origin=replace(whole.origin, weights="0"))
    other_store = replace(whole, origin=replace(whole.origin, stores={"t1": {}, "flair": {}}))
    other_volumes = replace(whole, checksums_NM=whole.checksums_NM + np.uint64(1))
    for kept, number in ((few, 3), (other_weights, 40), (other_store, 40), (other_volumes, 40)):
        write_embeddings(own_embeddings, kept)
        task = prepare(tiny, head, **HEAD, trunk=trunk.run_id)
        assert read.pop() == number
        np.testing.assert_allclose(task.trunk.embeddings_ND, whole.values_ND, atol=1e-5)
    own_embeddings.write_bytes(b"damaged")
    prepare(tiny, head, **HEAD, trunk=trunk.run_id)
    assert read == [40]


def test_nothing_is_kept_when_somebody_withdraws_meanwhile(
    tiny: Any, head: RunDirectory, trunk: RunDirectory, own_embeddings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_embeddings.unlink()
    retired = iter([frozenset[int](), frozenset({5})])
    monkeypatch.setattr(fixed, "read_retired_rows", lambda _: next(retired))
    with pytest.raises(TrainError, match="Participants have withdrawn while the volumes were read"):
        prepare(tiny, head, **HEAD, trunk=trunk.run_id)
    assert not own_embeddings.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inputs": ("t1", "connectivity")}, "Expected inputs t1, got flair, t1 of run"),
        ({"volume_scaling": "min-max"}, "Expected volume_scaling min-max, got stored"),
        ({"channels": (4, 8)}, r"Expected channels \[4, 8\], got \[4, 4\]"),
        ({"trunk": "nobody"}, "There is no run 'nobody'"),
        ({"inputs": ("connectivity",)}, "none are among the inputs connectivity"),
        ({"diagnostic": True}, "A diagnostic run checks the wiring of the volumes"),
        ({"model": "sfcn", "inputs": ("t1",), "channels": ()}, "The network sfcn cannot take its imaging part"),
    ],
)
def test_a_trunk_that_does_not_fit_is_refused(
    tiny: Any, trunk: RunDirectory, head: RunDirectory, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainError, match=message):
        prepare(tiny, head, **{**HEAD, "trunk": trunk.run_id, **settings})


def test_runs_that_can_be_no_trunk_are_refused(tiny: Any, head: RunDirectory) -> None:
    unfinished, wired = tiny.begin(**TRUNK), tiny.train(**TRUNK, diagnostic=True)
    reasons = {unfinished: "is not finished", head: "has its imaging network from run", wired: "is a wiring check"}
    for run, reason in reasons.items():
        with pytest.raises(TrainError, match=reason):
            prepare(tiny, head, **HEAD, trunk=run.run_id)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val": "train"}, "would be validated on 7 samples that run .* has learnt from"),
        ({"test": "train"}, "would be tested on 7 samples"),
        ({"test": "val"}, "would be tested on 7 samples"),
    ],
)
def test_a_trunk_that_has_seen_held_out_samples_is_refused(
    tiny: Any, trunk: RunDirectory, head: RunDirectory, tmp_path: Path, change: dict[str, str], message: str
) -> None:
    seen = RunDirectory(tiny.layout.runs / f"seen-{tmp_path.name}")
    shutil.copytree(trunk.path, seen.path)
    (seen.path / "checksums.jsonl").unlink()
    pl.read_parquet(seen.cohort).with_columns(pl.col("split").replace(change)).write_parquet(seen.cohort)
    with pytest.raises(TrainError, match=message):
        prepare(tiny, head, **HEAD, trunk=seen.run_id)


def test_ranks_are_refused() -> None:
    with pytest.raises(TrainError, match="A run with --trunk trains in one process, and 2 were asked for"):
        fixed.require_one_rank(2)
