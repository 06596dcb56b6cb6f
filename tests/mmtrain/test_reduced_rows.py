"""What baselines read and keep: each row once, never one that was erased or is not asked for, and the same results."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from mmbase.checksums import write_checked_table
from mmdata.errors import StoreError
from mmdata.store.array import StoredArray, open_array
from mmtrain.kept import Kept
from mmtrain.kept_values import KeptValues
from mmtrain.models.trained import load_model
from mmtrain.page.live import without_page
from mmtrain.reduced_rows import ReducedRows
from mmtrain.train import train
from tests.mmtrain.conftest import TinyStudy, make_tiny_study

INPUTS = [("t1",), ("flair", "t1", "connectivity"), ("connectivity",)]
SEX = {"target": "sex", "kind": "classification", "unit": ""}


@pytest.fixture
def study(tmp_path: Path) -> TinyStudy:
    return make_tiny_study(tmp_path / "study")


def fitted(study: TinyStudy, kept: Kept | None, without: Sequence[int] = (), **settings: Any) -> Any:
    """Train a baseline on all rows but some, and return its run."""
    settings = {"model": "linear", "channels": (), "inputs": ("t1", "connectivity"), **settings}
    run = study.begin(**settings)
    write_checked_table(run.cohort, pl.read_parquet(run.cohort).filter(~pl.col("row").is_in(list(without))))
    train(run, study.layout, study.configure(**settings), keep_page=without_page, kept=kept)
    return run


def left_by(run: Any) -> tuple[Any, ...]:
    """Return what a run comes to, without what differs from time to time."""
    metrics = {name: value for name, value in load_metrics(run).items() if name != "minutes"}
    return metrics, pl.read_parquet(run.predictions).rows(), load_model(run.path).network.state_dict()


def load_metrics(run: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run.metrics.read_text())
    return found


def assert_same(run: Any, other: Any) -> None:
    (metrics, rows, tensors), (other_metrics, other_rows, other_tensors) = left_by(run), left_by(other)
    assert (metrics, rows) == (other_metrics, other_rows)
    assert tensors.keys() == other_tensors.keys()
    assert all(torch.equal(tensors[name], other_tensors[name]) for name in tensors)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the rows that are read, one after the other."""
    rows: list[int] = []
    start_read = StoredArray.start_read

    def noting(array: StoredArray, indices: Any, out: Any, targets: Any) -> Any:
        rows.extend(indices[:, 0].tolist())
        return start_read(array, indices, out, targets)

    monkeypatch.setattr(StoredArray, "start_read", noting)
    return rows


@pytest.mark.parametrize("model", ["linear", "boosting"])
def test_a_run_comes_to_the_same_whatever_was_kept_before(study: TinyStudy, model: str) -> None:
    kept = Kept()
    cells = [({}, (), INPUTS[0]), (SEX, (3, 30), INPUTS[1]), (SEX, (3, 30), INPUTS[2]), ({}, (0, 3), INPUTS[1])]
    for settings, without, inputs in cells:
        run = fitted(study, kept, without, model=model, inputs=inputs, **settings)
        assert_same(run, fitted(study, None, without, model=model, inputs=inputs, **settings))


def test_a_cohort_may_be_smaller_than_a_batch(study: TinyStudy) -> None:
    assert_same(fitted(study, None, batch_size=40, inputs=("t1",)), fitted(study, None, batch_size=4, inputs=("t1",)))


def test_every_row_is_read_once_by_a_process(study: TinyStudy, reads: list[int]) -> None:
    kept = Kept()
    fitted(study, kept, [5, 39], inputs=("t1",))
    assert sorted(reads) == sorted(set(range(40)) - {5, 39})
    reads.clear()
    fitted(study, kept, [6], inputs=("t1", "connectivity"), model="boosting", **SEX)
    assert sorted(reads) == sorted([5, 39, *(set(range(40)) - {6})])
    reads.clear()
    for model in ("constant", "linear", "boosting"):
        fitted(study, kept, [6], inputs=("t1", "connectivity"), model=model)
    assert not reads


def test_a_row_that_was_erased_is_not_served(study: TinyStudy) -> None:
    kept = Kept()
    fitted(study, kept)
    open_array(study.layout.volume_array("t1", study.side)).erase_rows([4])
    with pytest.raises(StoreError, match="Row 4 of t1/8 was never stored"):
        fitted(study, kept)
    in_memory = [value for value, _ in kept.reductions._entries.values() if isinstance(value, ReducedRows)]
    assert sorted(4 in of_array.rows for of_array in in_memory) == [False, True]  # of t1, of connectivity
    assert_same(fitted(study, kept, [4]), fitted(study, None, [4]))


def test_a_shard_that_was_written_again_is_read_again(study: TinyStudy) -> None:
    kept = Kept()
    before = fitted(study, kept)
    array = open_array(study.layout.connectivity_array("glasser360"))
    array.write_shard(8, np.flip(array.read_shard(8), axis=0).copy())
    after = fitted(study, kept)
    assert_same(after, fitted(study, None))
    assert left_by(after)[1] != left_by(before)[1]


@pytest.mark.parametrize("budget_bytes", [0, 40 * 8**3 * 4, 100_000])
def test_with_too_little_memory_more_is_read_and_nothing_changes(study: TinyStudy, budget_bytes: int) -> None:
    kept = Kept(reductions=KeptValues(budget_bytes))
    for inputs in (INPUTS[1], INPUTS[0], INPUTS[1]):
        assert_same(fitted(study, kept, inputs=inputs), fitted(study, None, inputs=inputs))
        assert kept.reductions.held_bytes <= budget_bytes


def test_a_wiring_check_keeps_nothing_of_its_labels(study: TinyStudy) -> None:
    kept = Kept()
    fitted(study, kept, diagnostic=True)
    assert kept.reductions.held_bytes == 0
    assert_same(fitted(study, kept), fitted(study, None))
