import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import load_file
from sklearn import metrics as sk

from mmdata.store.array import open_array
from mmdata.store.schema import AUGMENTED_DIMENSIONS, EDGE_DIMENSIONS, VOLUME_DIMENSIONS, StudyLayout
from mmdata.store.spec import ArraySpec, ensure_array
from mmtrain.config.run import parse_run_config
from mmtrain.data.cohort import read_cohort
from mmtrain.errors import TrainError
from mmtrain.models.trained import load_model
from mmtrain.page.live import live_page, without_page
from mmtrain.run import RunDirectory, create_run, find_run
from mmtrain.task import prepare_task, training_portions
from mmtrain.train import train
from tests.mmtrain.conftest import StopAfter

SIDE, EDGES = 8, 12
SPLITS = ["train"] * 24 + ["val"] * 8 + ["test"] * 8
ROWS = len(SPLITS)
RNG = np.random.default_rng(7)
AGES = RNG.uniform(45, 80, ROWS)
CLASSES = np.tile([0.0, 0.0, 1.0, 0.0], ROWS // 4)
DEFAULTS = {"side": SIDE, "channels": (4, 4), "epochs": 3, "batch_size": 8, "learning_rate": 3e-3, "device": "cpu"}
REGRESSION = {"target": "age", "kind": "regression", "unit": "years", **DEFAULTS}
CLASSIFICATION = {"target": "sex", "kind": "classification", "unit": "1 male", **DEFAULTS}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Such small networks only wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> StudyLayout:
    """Forty samples: t1 and connectivity as bright as the person is old, flair noise, two copies of both."""
    layout = StudyLayout(tmp_path_factory.mktemp("train"))
    shape = (ROWS, SIDE, SIDE, SIDE)
    t1 = ((AGES - 40) / 45)[:, None, None, None] * RNG.uniform(0.8, 1.0, shape) * 65535
    for modality, volumes in (("t1", t1), ("flair", RNG.uniform(0, 65535, shape))):
        store(layout.volume_array(modality, SIDE), volumes.astype(np.uint16), VOLUME_DIMENSIONS)
        copies = np.stack([volumes * 0.9, volumes * 0.8]).astype(np.uint16)
        store(layout.augmented_array(modality, SIDE), copies, AUGMENTED_DIMENSIONS)
    edges = ((AGES - 60) / 20)[:, None] + RNG.normal(0, 0.1, (ROWS, EDGES))
    store(layout.connectivity_array("glasser360"), edges.astype(np.float32), EDGE_DIMENSIONS)
    return layout


NEW_TO_TRAINING = 3
"""A sample that trains in this run and not in the study's own split, so that no copies of it are made."""


def store(path: Path, values: np.ndarray, dimensions: tuple[str, ...]) -> None:
    axis = dimensions.index("sample")
    ensure_array(
        ArraySpec(
            path=path,
            shape=values.shape,
            row_axis=axis,
            rows_per_shard=ROWS,
            dtype=values.dtype.name,  # type: ignore[arg-type]
            codec="zstd",
            dimensions=dimensions,
        )
    )
    for copy in range(len(values)) if axis else [None]:
        open_array(path).write_shard(0, values if copy is None else values[copy], copy=copy)


def begin(layout: StudyLayout, settings: dict[str, Any], *, targets: np.ndarray | None = None) -> RunDirectory:
    """Make a run's directory with a cohort of all samples and two features."""
    config = parse_run_config(settings)
    run = create_run(layout.runs, config)
    if targets is None:
        targets = AGES if config.kind == "regression" else CLASSES
    pl.DataFrame(
        {
            "sample_id": [f"{i:016x}" for i in range(ROWS)],
            "row": range(ROWS),
            "split": SPLITS,
            "target": targets,
            "weight": 1.0,
            "augmented": [split == "train" and i != NEW_TO_TRAINING for i, split in enumerate(SPLITS)],
            "feature_LDL": [None if i % 5 == 0 else float(AGES[i]) for i in range(ROWS)],
            "feature_sex": CLASSES,
        }
    ).write_parquet(run.cohort)
    return run


train_quietly = partial(train, keep_page=without_page)
"""A page takes half of the time."""


def fit(layout: StudyLayout, settings: dict[str, Any], **options: Any) -> tuple[RunDirectory, dict[str, Any]]:
    run = begin(layout, settings)
    return run, train_quietly(run, layout, parse_run_config(settings), **options)


def timeless(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return what metrics.json holds without what differs from time to time."""
    return {name: value for name, value in metrics.items() if name != "minutes"}


def losses(run: RunDirectory) -> list[tuple[float, float]]:
    entries = [json.loads(line) for line in run.epochs.read_text().splitlines()]
    return [(entry["train_loss"], entry["val_loss"]) for entry in entries]


METADATA = {
    "metadata_blocks": ("serology", "constitutional"),
    "features": ("HDL", "LDL", "sex"),
    "shown_features": ("LDL", "sex"),
}
INPUTS = {
    "volumes": {"inputs": ("t1", "flair")},
    "connectivity": {"inputs": ("connectivity",)},
    "metadata": {"inputs": ("metadata",), **METADATA},
    "everything": {"inputs": ("t1", "connectivity", "metadata"), **METADATA},
}


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("kind", [REGRESSION, CLASSIFICATION], ids=["regression", "classification"])
def test_a_run_leaves_metrics_that_follow_from_its_predictions(
    layout: StudyLayout, kind: dict[str, Any], inputs: str
) -> None:
    run, returned = fit(layout, kind | INPUTS[inputs] | {"epochs": 2})
    metrics = json.loads(run.metrics.read_text())
    assert metrics == returned
    assert {"target", "kind", "inputs", "n", "val", "test", "best_epoch", "epochs"} <= set(metrics)
    assert (metrics["target"], metrics["kind"]) == (kind["target"], kind["kind"])
    assert metrics["inputs"] == list(INPUTS[inputs]["inputs"])
    assert metrics["n"] == {"train": 24, "val": 8, "test": 8}
    predictions = pl.read_parquet(run.predictions)
    assert predictions.columns == ["sample_id", "split", "truth", "prediction"]
    truth = AGES if kind is REGRESSION else CLASSES
    for split in ("val", "test"):
        part = predictions.filter(pl.col("split") == split)
        assert [int(name, 16) for name in part["sample_id"]] == [i for i, s in enumerate(SPLITS) if s == split]
        assert part["truth"].to_list() == [truth[i] for i, s in enumerate(SPLITS) if s == split]
        expected = recompute(part["truth"].to_numpy(), part["prediction"].to_numpy(), kind)
        assert {name: metrics[split][name] for name in expected} == pytest.approx(expected, abs=1e-12)
        assert metrics[split].keys() == metrics["intervals"][split].keys()
    assert predictions.height == 16
    trained = pl.read_parquet(run.training_predictions)
    assert trained.columns == predictions.columns and set(trained["split"]) == {"train"}
    assert trained["truth"].to_list() == [truth[i] for i, s in enumerate(SPLITS) if s == "train"]
    assert run.training_predictions.stat().st_mode & 0o777 == 0o600
    assert metrics["parameters"] == sum(parameter.numel() for parameter in load_model(run.path).network.parameters())
    seconds = sum(json.loads(line)["train_seconds"] for line in run.epochs.read_text().splitlines())
    assert metrics["minutes"] == pytest.approx(seconds / 60, abs=1e-3)
    assert metrics["losses"].keys() == {"val", "test"}


def recompute(truth: np.ndarray, prediction: np.ndarray, kind: dict[str, Any]) -> dict[str, float]:
    if kind is REGRESSION:
        return {
            "mae": sk.mean_absolute_error(truth, prediction),
            "r2": sk.r2_score(truth, prediction),
            "r": np.corrcoef(truth, prediction)[0, 1],
        }
    called = prediction >= 0.5
    return {
        "balanced_accuracy": sk.balanced_accuracy_score(truth, called),
        "auc": sk.roc_auc_score(truth, prediction),
        "f1": sk.f1_score(truth, called, zero_division=0),
        "precision": sk.precision_score(truth, called, zero_division=0),
        "recall": sk.recall_score(truth, called, zero_division=0),
    }


@pytest.mark.parametrize("kind", [REGRESSION, CLASSIFICATION], ids=["regression", "classification"])
def test_the_same_seed_gives_the_same_metrics_and_weights(layout: StudyLayout, kind: dict[str, Any]) -> None:
    settings = kind | INPUTS["everything"]
    (one, _), (two, _) = fit(layout, settings), fit(layout, settings)
    assert one.path != two.path
    assert timeless(json.loads(one.metrics.read_text())) == timeless(json.loads(two.metrics.read_text()))
    assert one.model.read_bytes() == two.model.read_bytes()
    other, _ = fit(layout, settings | {"seed": 8})
    assert losses(other) != losses(one)


def test_a_stopped_run_that_is_resumed_equals_an_uninterrupted_one(layout: StudyLayout) -> None:
    settings = REGRESSION | INPUTS["everything"] | {"epochs": 4}
    whole, expected = fit(layout, settings)
    run = begin(layout, settings)

    with pytest.raises(KeyboardInterrupt):
        train_quietly(run, layout, parse_run_config(settings), observers=[StopAfter(2)])
    assert not run.metrics.exists()
    assert losses(run) == losses(whole)[:2]
    found, config = find_run(layout.runs, run.run_id)
    assert timeless(train_quietly(found, layout, config, resumed=True)) == timeless(expected)
    assert losses(run) == losses(whole)
    weights = load_file(whole.model)
    assert all((weights[name] == tensor).all() for name, tensor in load_file(run.model).items())
    assert not list(run.path.rglob("*.tmp"))


def test_a_run_stopped_in_its_first_epoch_is_begun_anew(layout: StudyLayout) -> None:
    settings = REGRESSION | INPUTS["connectivity"] | {"epochs": 2}
    _, expected = fit(layout, settings)
    run = begin(layout, settings)
    assert timeless(train_quietly(run, layout, parse_run_config(settings), resumed=True)) == timeless(expected)


def test_a_run_killed_before_the_checkpoint_of_its_first_epoch_is_begun_anew(
    layout: StudyLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = REGRESSION | INPUTS["connectivity"] | {"epochs": 2}
    _, expected = fit(layout, settings)
    run = begin(layout, settings)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("mmtrain.state.save_checkpoint", die)
        train_quietly(run, layout, parse_run_config(settings))
    assert run.model.exists() and not run.checkpoint.exists()
    assert timeless(train_quietly(run, layout, parse_run_config(settings), resumed=True)) == timeless(expected)


def test_every_part_of_a_run_directory_is_there(layout: StudyLayout) -> None:
    run, _ = fit(layout, REGRESSION | INPUTS["volumes"] | {"epochs": 1}, keep_page=live_page)
    expected = {"config.json", "cohort.parquet", "metrics.json", "metrics.jsonl", "predictions.parquet"}
    expected.add("training_predictions.parquet")
    expected |= {"model.safetensors", "model.json", "checksums.jsonl", "checkpoints", "plots", "tensorboard"}
    expected.add("report.html")
    assert {path.name for path in run.path.iterdir()} == expected
    pictures = [f"{name}.{form}" for name in ("loss", "speed", "test") for form in ("png", "svg")]
    assert sorted(path.name for path in run.plots.iterdir()) == pictures
    card = json.loads(run.model_card.read_text())
    (target,) = card["targets"]
    assert (target["name"], target["kind"], target["unit"]) == ("age", "regression", "years")
    assert card["trained_on"]["augmented_copies"] == 2
    low, high = np.percentile(AGES[:24], (0.5, 99.5))
    assert target["scaling"] == pytest.approx({"low": low, "high": high})


def test_scaling_is_fitted_on_the_training_split_alone(layout: StudyLayout) -> None:
    settings = REGRESSION | INPUTS["metadata"] | {"epochs": 1}
    run = begin(layout, settings, targets=np.where(np.asarray(SPLITS) == "train", AGES, 1000.0 + AGES))
    train_quietly(run, layout, parse_run_config(settings))
    card = json.loads(run.model_card.read_text())
    assert card["targets"][0]["scaling"]["high"] < 80
    known = [AGES[i] for i in range(24) if i % 5]
    assert [(feature["name"], feature["shown"]) for feature in card["features"]] == [
        ("HDL", False),
        ("LDL", True),
        ("sex", True),
    ]
    assert (card["features"][1]["mean"], card["features"][1]["std"]) == pytest.approx((np.mean(known), np.std(known)))


def test_a_feature_that_is_not_shown_changes_nothing(layout: StudyLayout) -> None:
    settings = REGRESSION | INPUTS["metadata"] | {"epochs": 2, "shown_features": ("sex",)}
    runs = [begin(layout, settings) for _ in range(2)]
    cohort = pl.read_parquet(runs[1].cohort)
    cohort.with_columns(pl.lit(None, pl.Float64).alias("feature_LDL")).write_parquet(runs[1].cohort)
    for run in runs:
        train_quietly(run, layout, parse_run_config(settings))
    assert losses(runs[0]) == losses(runs[1])
    shown = begin(layout, settings | {"shown_features": ("LDL", "sex")})
    train_quietly(shown, layout, parse_run_config(settings | {"shown_features": ("LDL", "sex")}))
    assert losses(shown) != losses(runs[0])


def test_a_sample_without_copies_is_read_as_it_is(layout: StudyLayout) -> None:
    settings = REGRESSION | INPUTS["volumes"]
    task = prepare_task(read_cohort(begin(layout, settings).cohort), layout, parse_run_config(settings))
    for epoch in range(1, 5):
        copies = {
            int(position): int(copy)
            for portion in training_portions(task, epoch)
            for position, copy in zip(portion.request.positions, portion.request.copies, strict=True)
        }
        assert copies[NEW_TO_TRAINING] == 0 and any(copies.values())


@pytest.mark.parametrize("inputs", ["volumes", "connectivity", "metadata"])
def test_a_model_learns_what_was_planted(layout: StudyLayout, inputs: str) -> None:
    settings = REGRESSION | INPUTS[inputs] | {"epochs": 40, "copies": 0, "patience": 40, "learning_rate": 1e-2}
    run, metrics = fit(layout, settings)
    low, high = np.percentile(AGES[:24], (0.5, 99.5))
    variance = np.var((np.clip(AGES[:24], low, high) - low) / (high - low) * 2 - 1)
    assert min(loss for loss, _ in losses(run)) < 0.25 * variance
    assert metrics["val"]["r"] > 0.7


def test_training_stops_when_patience_ends_and_keeps_the_best_epoch(layout: StudyLayout) -> None:
    settings = REGRESSION | INPUTS["connectivity"] | {"epochs": 60, "patience": 2, "learning_rate": 0.3}
    run, metrics = fit(layout, settings)
    validation = [loss for _, loss in losses(run)]
    assert metrics["epochs"] == len(validation) == metrics["best_epoch"] + 2 < 60
    assert validation.index(min(validation)) + 1 == metrics["best_epoch"]
    best = json.loads(run.epochs.read_text().splitlines()[metrics["best_epoch"] - 1])
    assert best["val"].items() <= metrics["val"].items()
    assert metrics["losses"]["val"] == pytest.approx(best["val_loss"])


def test_a_run_that_diverges_says_so(layout: StudyLayout) -> None:
    with pytest.raises(TrainError, match=r"step \d+ of epoch \d+ is not a finite number.*--learning-rate 1e\+29"):
        fit(layout, REGRESSION | INPUTS["connectivity"] | {"learning_rate": 1e30, "epochs": 5})


def test_a_cohort_that_lacks_a_column_is_refused(layout: StudyLayout) -> None:
    settings = REGRESSION | INPUTS["connectivity"]
    run = begin(layout, settings)
    pl.read_parquet(run.cohort).drop("split").write_parquet(run.cohort)
    with pytest.raises(TrainError, match="lacks the columns split"):
        train_quietly(run, layout, parse_run_config(settings))
    run.cohort.unlink()
    with pytest.raises(TrainError, match="cannot be read"):
        train_quietly(run, layout, parse_run_config(settings))


def test_runs_begun_at_once_get_directories_of_their_own(layout: StudyLayout) -> None:
    config = parse_run_config(REGRESSION | INPUTS["connectivity"])
    runs = [create_run(layout.runs, config) for _ in range(3)]
    assert len({run.run_id for run in runs}) == 3
    assert all(run.run_id.startswith("age_connectivity_") for run in runs)
    assert all(run.path.stat().st_mode & 0o077 == 0 for run in runs)
    assert find_run(layout.runs, runs[0].run_id) == (runs[0], config)


def test_an_unknown_run_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"no run 'x'\. Known runs: none"):
        find_run(tmp_path, "x")
    create_run(tmp_path, parse_run_config(REGRESSION | INPUTS["connectivity"]))
    with pytest.raises(TrainError, match="Known runs: age_connectivity_"):
        find_run(tmp_path, "x")


def test_a_run_is_looked_for_in_its_folder_alone(tmp_path: Path) -> None:
    config = parse_run_config(REGRESSION | INPUTS["connectivity"])
    runs, outside = tmp_path / "study" / "runs", create_run(tmp_path / "outside", config)
    inside = create_run(runs, config)
    (runs / "link").symlink_to(outside.path)
    led_out = [f"../../outside/{outside.run_id}", str(outside.path), "..", ""]
    for name in (*led_out, f"./{inside.run_id}", f"{inside.run_id}/."):
        with pytest.raises(TrainError, match="There is no run"):
            find_run(runs, name)
    with pytest.raises(TrainError, match="'link' is a link"):
        find_run(runs, "link")
    (tmp_path / "linked").symlink_to(runs)  # a study whose runs lie on another disk
    assert find_run(tmp_path / "linked", inside.run_id)[1] == config
