"""A run's files that have changed since they were written are not used."""

import json
import struct
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from mmbase.checksums import CHECKSUMS, find_changed, write_checked
from mmtrain.data.cohort import read_cohort
from mmtrain.errors import TrainError
from mmtrain.models.trained import load_model
from mmtrain.run import RunDirectory
from mmtrain.train import train
from mmtrain.withdrawn import WithdrawnSamples, forget_withdrawn
from tests.mmtrain.conftest import TinyStudy, make_tiny_study

CHANGED = "is not as it was written"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyStudy, RunDirectory]:
    study = make_tiny_study(tmp_path_factory.mktemp("tiny") / "study")
    return study, study.train(inputs=("t1",), epochs=1)


def change(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def test_a_flipped_bit_of_a_cohort_trains_nobody_as_half_as_old(tmp_path: Path) -> None:
    study = make_tiny_study(tmp_path / "study")
    run = study.begin(inputs=("t1",))
    table = BytesIO()
    pl.read_parquet(run.cohort).write_parquet(table, compression="uncompressed", statistics=False)
    write_checked(run.cohort, table.getvalue())
    age = float(read_cohort(run.cohort).labels_NT[0, 0])
    change(run.cohort, struct.pack("<d", age), struct.pack("<d", age / 2))
    assert pl.read_parquet(run.cohort)["target"][0] == age / 2  # Parquet does not notice
    for use in (read_cohort, lambda _: train(run, study.layout, study.configure(inputs=("t1",)))):
        with pytest.raises(TrainError, match=rf"cohort\.parquet of .* {CHANGED}"):
            use(run.cohort)


def test_changed_weights_and_cards_are_not_loaded(trained: tuple[TinyStudy, RunDirectory]) -> None:
    _, run = trained
    load_model(run.path)
    for path in (run.model, run.model_card):
        whole = path.read_bytes()
        path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
        with pytest.raises(TrainError, match=f"{path.name} of .* {CHANGED}"):
            load_model(run.path)
        assert find_changed(run.path) == [path.name]
        path.write_bytes(whole)
    load_model(run.path)


def test_all_that_a_run_keeps_of_its_model_and_results_is_on_record(trained: tuple[TinyStudy, RunDirectory]) -> None:
    _, run = trained
    recorded = {json.loads(line)["file"] for line in (run.path / CHECKSUMS).read_text().splitlines()}
    predictions = (run.predictions, run.training_predictions)
    assert recorded == {path.name for path in (run.model, run.model_card, run.metrics, *predictions)}
    assert find_changed(run.path) == []


def test_a_changed_cohort_does_not_hide_who_withdraws(trained: tuple[TinyStudy, RunDirectory], tmp_path: Path) -> None:
    _, run = trained
    cohort = pl.read_parquet(run.cohort)
    table = BytesIO()
    cohort.write_parquet(table, compression="uncompressed", statistics=False)
    write_checked(run.cohort, table.getvalue())
    change(run.cohort, struct.pack("<q", 5), struct.pack("<q", 4))
    with pytest.raises(TrainError, match="it is not known who is in it"):
        forget_withdrawn(run, WithdrawnSamples(rows=[5], sample_ids=[]), "2026-01-01")
