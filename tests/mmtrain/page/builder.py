"""Run directories with nothing trained: whatever a page is to be made of, written by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mmtrain.config.run import parse_run_config
from mmtrain.metrics.judgement import judge
from mmtrain.metrics.predicted import Predicted
from mmtrain.models.card import write_card
from mmtrain.run import RunDirectory
from mmtrain.targets.registry import load_kind
from tests.made_card import make_card

SIZES = {"train": 1600, "val": 300, "test": 400}
UNITS = {"age": "years", "sex": "1 male"}
SETTINGS: dict[str, Any] = {"inputs": ("t1", "connectivity"), "side": 32, "epochs": 100, "patience": 20}


def ages(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(45, 80, n)


def classes(n: int, seed: int, share: float = 0.5) -> np.ndarray:
    return (np.random.default_rng(seed).random(n) < share).astype(float)


def scores(truth: np.ndarray, effect: float, seed: int, shift: float = 0.0) -> np.ndarray:
    """Return calibrated probabilities of a normal score with this distance between the classes, in log odds + shift."""
    z = np.random.default_rng(seed).normal(truth * effect, 1)
    prevalence = np.clip(truth.mean(), 0.02, 0.98)
    odds = effect * (z - effect / 2) + np.log(prevalence / (1 - prevalence)) + shift
    return 1 / (1 + np.exp(-odds))


def history(
    train: Sequence[float], val: Sequence[float], metric: str = "auc", values: Sequence[float] = (), wait: float = 0.01
) -> list[dict[str, Any]]:
    """Return lines of metrics.jsonl."""
    measured = values if len(values) else [0.5] * len(train)
    return [
        {
            "epoch": number,
            "train_loss": float(training),
            "val_loss": float(validation),
            "val": {metric: float(value)},
            "train_seconds": 60.0,
            "samples_per_second": 250.0 + number % 3,
            "wait_share": wait,
            "ranks": 1,
        }
        for number, (training, validation, value) in enumerate(zip(train, val, measured, strict=True), start=1)
    ]


def good_history(epochs: int = 60, best: int = 40) -> list[dict[str, Any]]:
    steps = np.arange(1, epochs + 1)
    train = 0.35 + 0.35 * np.exp(-steps / 15)
    val = 0.40 + 0.3 * np.exp(-steps / 12) + 0.00002 * np.maximum(0, steps - best) ** 2
    return history(train, val, values=0.88 - 0.3 * np.exp(-steps / 10))


def build_run(
    path: Path,
    truth: Mapping[str, np.ndarray],
    prediction: Mapping[str, np.ndarray],
    epochs: Sequence[Mapping[str, Any]],
    *,
    target: str = "sex",
    sizes: Mapping[str, int] = SIZES,
    audit: Sequence[Mapping[str, Any]] = (),
    extra: Mapping[str, Any] | None = None,
    finished: bool = True,
    participants: np.ndarray | None = None,
    **settings: Any,
) -> RunDirectory:
    """Write a run of one target.

    Parameters
    ----------
    truth, prediction
        Of val and test.
    extra
        What metrics.json has beside the metrics.
    """
    kind = "regression" if target == "age" else "classification"
    path.mkdir(parents=True)
    run = RunDirectory(path)
    asked = {"target": target, "kind": kind, "unit": UNITS[target]}
    config = parse_run_config({**asked, **SETTINGS, **settings})
    environment = {"python": "3.11.7", "mm": "0.3.0", "torch": "2.10.0"}
    run.config.write_text(json.dumps({"train": config.to_json(), "environment": environment, "audit": list(audit)}))
    run.epochs.write_text("".join(json.dumps(entry) + "\n" for entry in epochs))
    splits = [split for split, n in sizes.items() for _ in range(n)]
    num = len(splits)
    labels = np.concatenate([_labels(target, sizes["train"]), truth["val"], truth["test"]])
    ids = [f"{i * 0x9E3779B97F4A7C15 % 2**64:016x}" for i in range(1, num + 1)]
    frame = {
        **{"sample_id": ids, "row": range(num), "split": splits, "target": labels},
        "augmented": [split == "train" for split in splits],
        "participant": np.arange(num) if participants is None else participants,
    }
    pl.DataFrame(frame).write_parquet(run.cohort)
    card = make_card(
        volumes=("t1",),
        side=32,
        num_edges=64620,
        kinds={target: load_kind(kind).fit(labels[: sizes["train"]], weighted=False)},
        unit=UNITS[target],
        parameters={"channels": [16, 32, 64, 128]},
        versions=environment,
    )
    write_card(run.model_card, card)
    if finished:
        people = np.asarray(frame["participant"])
        held_out = {
            split: Predicted(
                truth=truth[split], prediction=prediction[split], participants=people[np.asarray(splits) == split]
            )
            for split in ("val", "test")
        }
        pl.DataFrame(
            {
                "sample_id": ids[sizes["train"] :],
                "split": splits[sizes["train"] :],
                "truth": labels[sizes["train"] :],
                "prediction": np.concatenate([prediction["val"], prediction["test"]]),
            }
        ).write_parquet(run.predictions)
        trained = labels[: sizes["train"]]
        metrics = judge(load_kind(kind).metrics, config.data.targets[0], trained, held_out, config.optimisation.seed)
        content = {"target": target, "kind": kind, "inputs": ["t1"], "n": dict(sizes), **metrics}
        run.metrics.write_text(json.dumps({**content, "best_epoch": 1, "epochs": len(epochs), **(extra or {})}))
    return run


def _labels(target: str, n: int) -> np.ndarray:
    return ages(n, 1) if target == "age" else classes(n, 1)
