"""A run's progress and metrics as text and tables for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmbase.plain_table import PlainTable, plain_table
from mmtrain.config.data import TargetConfig
from mmtrain.metrics import IN_TARGET_UNIT

MAIN_METRICS = ("r2", "mae", "auc", "balanced_accuracy")
"""Those by which the kinds of targets are judged first; with several targets behind the target's name and a dot."""


def main_scores(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return the main validation metrics of an epoch.

    >>> main_scores({"val": {"age.r2": 0.5, "age.r": 0.75, "sex.auc": None}})
    {'age.r2': 0.5}
    """
    scores = entry["val"].items()
    return {name: value for name, value in scores if name.rsplit(".")[-1] in MAIN_METRICS and value is not None}


def epoch_line(entry: Mapping[str, Any]) -> str:
    """Return one line about an epoch."""
    measured = "  ".join(f"{name} {value:.3f}" for name, value in main_scores(entry).items())
    return (
        f"epoch {entry['epoch']:>3}  train loss {entry['train_loss']:.4f}  val loss {entry['val_loss']:.4f}  "
        f"{measured}  {entry['samples_per_second']:.1f} samples/s, {entry['wait_share']:.1%} waiting"
    )


def metrics_table(metrics: Mapping[str, Any], targets: Sequence[TargetConfig]) -> PlainTable:
    """Show the validation and test metrics of a finished run, target by target."""
    clamped = ", clamped labels" if metrics.get("clamped_labels") else ""
    title = f"{metrics['target']} from {', '.join(metrics['inputs'])}{clamped}"
    rows: list[tuple[str, str, str]] = []
    for target in targets:
        of_target = metrics["targets"][target.name] if "targets" in metrics else metrics
        if "targets" in metrics:
            rows.append((target.name, "", ""))
        rows.append(("n", str(of_target["n"]["val"]), str(of_target["n"]["test"])))
        for name in of_target["test"]:
            label = f"{name} ({target.unit})" if name in IN_TARGET_UNIT else name
            rows.append((label, f"{of_target['val'][name]:.3f}", f"{of_target['test'][name]:.3f}"))
    return plain_table((title, "validation", "test"), rows)
