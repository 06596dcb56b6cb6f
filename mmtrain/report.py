"""A run's progress and metrics as text and tables for people."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def epoch_line(entry: Mapping[str, Any]) -> str:
    """Return one line about an epoch."""
    measured = "  ".join(f"{name} {value:.3f}" for name, value in entry["val"].items())
    return (
        f"epoch {entry['epoch']:>3}  train loss {entry['train_loss']:.4f}  val loss {entry['val_loss']:.4f}  "
        f"{measured}  {entry['samples_per_second']:.1f} samples/s, {entry['wait_share']:.1%} waiting"
    )


def metrics_table(metrics: Mapping[str, Any], unit: str) -> Table:
    """Show the validation and test metrics of a finished run."""
    table = Table(
        f"{metrics['target']} from {', '.join(metrics['inputs'])}", "validation", "test", box=None, pad_edge=False
    )
    table.add_row("n", str(metrics["n"]["val"]), str(metrics["n"]["test"]))
    for name in metrics["test"]:
        label = f"{name} ({unit})" if name == "mae" else name
        table.add_row(label, f"{metrics['val'][name]:.3f}", f"{metrics['test'][name]:.3f}")
    return table
