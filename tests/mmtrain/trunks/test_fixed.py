"""A run that takes its imaging network from another: what is trained, what is kept, and what is refused."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from mmtrain.data.cohort import read_cohort
from mmtrain.models.trained import load_model
from mmtrain.run import RunDirectory

TRUNK: dict[str, Any] = {"inputs": ("t1", "flair"), "epochs": 2, "copies": 0}
HEAD: dict[str, Any] = {**TRUNK, "inputs": ("t1", "flair", "connectivity"), "augment": "none", "epochs": 3}


def train_trunk(study: Any, **settings: Any) -> RunDirectory:
    pair = study.two_targets
    run: RunDirectory = study.train(pair["labels"], **{**TRUNK, "targets": pair["targets"], **settings})
    return run


@pytest.fixture(scope="module")
def trunk(tiny: Any) -> RunDirectory:
    return train_trunk(tiny)


@pytest.fixture(scope="module")
def head(tiny: Any, trunk: RunDirectory) -> RunDirectory:
    run: RunDirectory = tiny.train(**HEAD, trunk=trunk.run_id)
    return run


def volumes_of(study: Any, rows: np.ndarray) -> dict[str, np.ndarray]:
    task = study.prepare(inputs=("t1", "flair", "connectivity"), copies=0)
    return {name: array.read_rows([(int(row),) for row in rows]) for name, array in task.stores.originals.items()}


def test_predictions_from_volumes_are_those_from_embeddings(tiny: Any, head: RunDirectory) -> None:
    cohort, told = read_cohort(head.cohort), pl.read_parquet(head.predictions)
    row_of = dict(zip(cohort.sample_ids, cohort.rows, strict=True))
    stored = volumes_of(tiny, np.array([row_of[name] for name in told["sample_id"]]))
    edges = stored.pop("connectivity")
    predicted = load_model(head.path).predict(volumes=stored, connectivity=edges)["age"]
    spread = tiny.ages.std()
    np.testing.assert_allclose(predicted / spread, told["prediction"].to_numpy() / spread, atol=1e-5)


def test_the_trunk_stays_as_it_was_and_the_rest_has_learnt(trunk: RunDirectory, head: RunDirectory) -> None:
    before, after = load_file(trunk.model), load_file(head.model)
    imaging = [name for name in after if name.startswith("cnn.")]
    assert imaging == [name for name in before if name.startswith("cnn.")]
    assert all(torch.equal(before[name], after[name]) for name in imaging)
    losses = [json.loads(line)["train_loss"] for line in head.epochs.read_text().splitlines()]
    assert losses[-1] < losses[0]
