"""A catalogue's summary as tables for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from catalog.summary import CatalogSummary

_MAIN_METRICS = {"regression": ("mae", "r2"), "classification": ("balanced_accuracy", "auc")}


def scan_table(summary: CatalogSummary) -> Table:
    """Show how many scans of each modality are stored, rejected (why) and absent."""
    table = Table("modality", "stored", "rejected", "absent", "reasons", box=None, pad_edge=False)
    for modality, counts in summary.scans.items():
        reasons = ", ".join(f"{number} {reason}" for reason, number in summary.rejected.get(modality, {}).items())
        table.add_row(modality, *(str(counts[status]) for status in ("stored", "rejected", "absent")), reasons)
    return table


def run_table(runs: Sequence[Mapping[str, Any]]) -> Table:
    """Show every run with its main metrics."""
    table = Table("run", "n", "validation", "test", box=None, pad_edge=False)
    for run in runs:
        numbers = f"{run['n_train']}/{run['n_val']}/{run['n_test']}"
        table.add_row(run["run_id"], numbers, _main_metrics(run, "val"), _main_metrics(run, "test"))
    return table


def _main_metrics(run: Mapping[str, Any], split: str) -> str:
    return ", ".join(f"{name} {run[f'{split}_{name}']:.3f}" for name in _MAIN_METRICS[run["kind"]])
