"""A study from Python, against what its stores and its catalogue hold."""

import shutil
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
import torch
import zarr
from torch import nn

from catalog.errors import UnknownTargetError
from mmdata.errors import StoreError, StudyError
from mmstudy.api import OpenStudy, open_study
from mmtrain.data.order import epoch_batches
from mmtrain.errors import TrainError

SIDE = 32


@pytest.fixture(scope="module")
def divided(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the study with enough samples of every split to train on."""
    root = Path(shutil.copytree(study, tmp_path_factory.mktemp("api") / "study"))
    with duckdb.connect(str(root / "catalog.duckdb")) as catalog:
        catalog.execute(
            "UPDATE sample SET split = CASE place % 5 WHEN 0 THEN 'test' WHEN 1 THEN 'val' ELSE 'train' END "
            "FROM (SELECT sample_id, row_number() OVER (ORDER BY row) AS place FROM sample) AS numbered "
            "WHERE sample.sample_id = numbered.sample_id"
        )
    shutil.rmtree(root / "augmented.zarr")  # of those who trained before
    (root / "receipts" / "copies.jsonl").unlink()
    return root


@pytest.fixture(scope="module")
def opened(divided: Path) -> OpenStudy:
    return open_study(divided)


def stored(study: Path, modality: str, row: int) -> np.ndarray:
    """Return a stored row as another program reads it, as a network takes it."""
    integers = zarr.open_array(study / "volumes.zarr" / modality / str(SIDE), mode="r")[row]
    return integers.astype(np.float32) * np.float32(2 / 65535) - 1


def test_samples_are_those_of_the_catalogue_and_nobody_is_named(opened: OpenStudy, divided: Path) -> None:
    samples = opened.samples(features=["age"])
    assert samples.columns == ["sample_id", "instance", "row", "split", "age"]
    with duckdb.connect(str(divided / "catalog.duckdb"), read_only=True) as catalog:
        expected = catalog.execute("SELECT sample_id, instance, row, split FROM samples JOIN splits USING (sample_id)")
        assert sorted(samples.drop("age").iter_rows()) == sorted(expected.fetchall())
        ages = dict(catalog.execute("SELECT sample_id, value FROM features WHERE name = 'age'").fetchall())
    assert {name: age for name, age in samples.select("sample_id", "age").iter_rows() if age is not None} == ages


def test_samples_can_be_of_one_split_and_have_scans(opened: OpenStudy) -> None:
    every, some = opened.samples(), opened.samples(split="train", inputs=["t1", "dwi"])
    assert set(some["split"]) == {"train"}
    assert 0 < len(some) < len(every.filter(pl.col("split") == "train"))


def test_a_volume_is_what_is_stored_between_0_and_1_with_its_affine(opened: OpenStudy, divided: Path) -> None:
    sample_id, row = opened.samples(inputs=["t1"]).select("sample_id", "row").row(3)
    volume = opened.volume(sample_id, "t1", side=SIDE)
    np.testing.assert_allclose(volume.values_XYZ * 2 - 1, stored(divided, "t1", row), atol=1e-6)
    attributes = zarr.open_array(divided / "volumes.zarr" / "t1" / str(SIDE), mode="r").attrs
    assert volume.affine_44.tolist() == attributes["affine_ras"]
    assert opened.volume(sample_id, "t1").values_XYZ.shape == (64, 64, 64)


def test_an_augmented_copy_can_be_looked_at(study: Path) -> None:
    opened = open_study(study)
    sample_id, row = opened.samples(inputs=["t1"], split="train").select("sample_id", "row").row(0)
    second = zarr.open_array(study / "augmented.zarr" / "t1" / str(SIDE), mode="r")[1, row]
    found = opened.volume(sample_id, "t1", side=SIDE, copy=2).values_XYZ
    np.testing.assert_allclose(found, second / 65535, atol=1e-6)


@pytest.mark.parametrize(
    ("sample", "modality", "side", "error", "message"),
    [
        ("0" * 16, "t1", SIDE, StudyError, "There is no sample 0000"),
        (None, "connectivity", SIDE, StudyError, "Expected a volume, got 'connectivity'"),
        (None, "t1", 48, StoreError, "There is no array volumes.zarr/t1/48"),
    ],
)
def test_a_volume_that_is_not_there_is_refused(
    opened: OpenStudy, sample: str | None, modality: str, side: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        opened.volume(sample or opened.samples(inputs=["t1"])["sample_id"][0], modality, side=side)


def test_batches_hold_the_stored_volumes_with_their_labels_in_the_order_of_mm_train(
    opened: OpenStudy, divided: Path
) -> None:
    batches = opened.batches("age", inputs=["t1", "dwi"], side=SIDE, batch_size=5, seed=7)
    table = opened.samples(features=["age"])
    rows = dict(table.select("sample_id", "row").iter_rows())
    ages = dict(table.select("sample_id", "age").iter_rows())
    names = batches.cohort.sample_ids
    expected = epoch_batches(batches.cohort.members("train"), 5, seed=7, epoch=1, drop_last=False)
    read = list(batches)
    assert len(batches) == len(read) == len(expected)
    for batch, positions in zip(read, expected, strict=True):
        assert batch["sample_ids"] == [names[position] for position in positions]
        assert batch["volumes"].dtype == batch["targets"].dtype == torch.float32
        assert batch["targets"].tolist() == pytest.approx([ages[name] for name in batch["sample_ids"]])
        for name, volumes in zip(batch["sample_ids"], batch["volumes"], strict=True):
            for channel, modality in enumerate(("t1", "dwi")):
                np.testing.assert_allclose(volumes[channel], stored(divided, modality, rows[name]), atol=1e-6)


def test_each_pass_is_another_epoch_and_can_be_repeated(opened: OpenStudy) -> None:
    batches = opened.batches("age", inputs=["t1"], side=SIDE, batch_size=4)

    def order() -> list[list[str]]:
        return [batch["sample_ids"] for batch in batches]

    first, second = order(), order()
    assert first != second
    assert sorted(chain(*first)) == sorted(chain(*second))
    batches.set_epoch(1)
    assert order() == first


def test_validation_samples_come_in_the_order_of_rows(opened: OpenStudy) -> None:
    batches = opened.batches("age", inputs=["t1"], split="val", side=SIDE, batch_size=2)
    names = [name for batch in batches for name in batch["sample_ids"]]
    wanted = opened.samples(split="val", inputs=["t1"], features=["age"]).drop_nulls("age")
    assert names == wanted["sample_id"].to_list()


def test_augmentation_changes_training_volumes_alone_and_anew_in_every_epoch(opened: OpenStudy) -> None:
    options: dict[str, Any] = {"inputs": ["t1"], "side": SIDE, "batch_size": 64, "augment": "on-device"}

    def volumes(split: str, epoch: int) -> dict[str, torch.Tensor]:
        batches = opened.batches("age", split=split, **options)
        batches.set_epoch(epoch)
        return {n: v for batch in batches for n, v in zip(batch["sample_ids"], batch["volumes"], strict=True)}

    first, again, second = volumes("train", 1), volumes("train", 1), volumes("train", 2)
    assert all(torch.equal(first[name], again[name]) and not torch.equal(first[name], second[name]) for name in first)
    before, after = volumes("val", 1), volumes("val", 2)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_other_inputs_come_beside_the_volumes(opened: OpenStudy) -> None:
    batches = opened.batches("sex", inputs=["connectivity", "metadata"], metadata_blocks=["serology"], batch_size=4)
    batch = next(iter(batches))
    assert set(batch) == {"connectivity", "features", "targets", "sample_ids"}
    assert batch["connectivity"].shape == (len(batch["sample_ids"]), 64620)
    assert batch["features"].isfinite().all()
    assert set(batch["targets"].tolist()) <= {0.0, 1.0}


def test_several_targets_are_columns_with_gaps(opened: OpenStudy) -> None:
    batches = opened.batches(["age", "sex"], inputs=["t1"], side=SIDE, batch_size=4)
    table = opened.samples(features=["age", "sex"])
    labels = {name: values for name, *values in table.select("sample_id", "age", "sex").iter_rows()}
    for batch in batches:
        expected = [[float("nan") if v is None else v for v in labels[name]] for name in batch["sample_ids"]]
        np.testing.assert_allclose(batch["targets"].numpy(), np.asarray(expected), rtol=1e-6)


def test_batches_do_not_share_memory(opened: OpenStudy) -> None:
    first, second, *_ = list(opened.batches("age", inputs=["t1", "connectivity"], side=SIDE, batch_size=4))
    for name in ("volumes", "connectivity"):
        assert first[name].data_ptr() != second[name].data_ptr()
        assert not torch.equal(first[name], second[name])


def test_ranks_share_every_batch(opened: OpenStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [batch["sample_ids"] for batch in opened.batches("age", inputs=["t1"], side=SIDE, batch_size=6)]
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    shares = []
    for rank in range(2):
        monkeypatch.setattr("torch.distributed.get_rank", lambda rank=rank: rank)
        shares.append([b["sample_ids"] for b in opened.batches("age", inputs=["t1"], side=SIDE, batch_size=6)])
    assert [one + other for one, other in zip(*shares, strict=True)] == whole


def test_fewer_samples_than_ranks_are_refused(opened: OpenStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = opened.batches("age", inputs=["t1"], split="val", side=SIDE, batch_size=64)
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 64)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 63)
    with pytest.raises(StudyError, match="cannot be shared by 64 ranks"):
        next(iter(batches))


def test_what_the_study_has_not_is_refused(opened: OpenStudy) -> None:
    with pytest.raises(UnknownTargetError, match="hight"):
        opened.batches("hight")
    with pytest.raises(StudyError, match="Batches have no setting bach_size"):
        opened.batches("age", bach_size=3)
    with pytest.raises(StudyError, match="Batches have no setting epochs"):
        opened.batches("age", epochs=3)
    with pytest.raises(StudyError, match="one of train, val, test, got 'validation'"):
        opened.batches("age", split="validation")
    with pytest.raises(StudyError, match="at least 1 samples, one for each rank, got 0"):
        opened.batches("age", batch_size=0)
    with pytest.raises(TrainError, match="There is no setting features"):
        opened.train("age", features=("age",))
    for wrong in ({"split": "validation"}, {"inputs": ["T1"]}, {"features": ["aeg"]}):
        with pytest.raises(StudyError, match="There is no"):
            opened.samples(**wrong)
    with pytest.raises(StudyError, match="Side 48 is not stored"):
        opened.batches("age", side=48)
    with pytest.raises(StudyError, match="is not a study"):
        open_study("/nowhere")


@pytest.mark.filterwarnings("ignore")  # of Lightning about itself
def test_lightning_trains_on_batches(opened: OpenStudy, tmp_path: Path) -> None:
    pl_lightning = pytest.importorskip("pytorch_lightning")

    class Regressor(pl_lightning.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(SIDE**3, 1)
            self.losses: list[float] = []
            self.validated = 0

        def training_step(self, batch: dict[str, Any], _: int) -> torch.Tensor:
            output = self.layer(batch["volumes"].flatten(1))[:, 0]
            loss = nn.functional.mse_loss(output, (batch["targets"] - 60) / 10)
            self.losses.append(loss.item())
            return loss

        def validation_step(self, batch: dict[str, Any], _: int) -> None:
            self.validated += len(batch["sample_ids"])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=1e-5)

    module = Regressor()
    train, val = (
        opened.batches("age", inputs=["t1"], split=split, side=SIDE, batch_size=4, device="cpu")
        for split in ("train", "val")
    )
    trainer = pl_lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        default_root_dir=tmp_path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, train_dataloaders=train, val_dataloaders=val)
    assert len(module.losses) == 2 * len(train)
    assert module.validated == 2 * len(val.cohort.members("val"))


def test_the_page_about_python_runs(divided: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in page.split("```python\n")[1:]]
    assert len(blocks) >= 5
    monkeypatch.chdir(divided.parent)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)  # the page is ours
    assert names["study"].runs()["run_id"].to_list() == [names["run_id"]]
    predicted = names["model"].predict(volumes={"t1": names["volume"].values_XYZ[None]})["age"]
    assert predicted.shape == (1,) and np.isfinite(predicted).all()
