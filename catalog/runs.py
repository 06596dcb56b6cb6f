"""Enter trained models: run directories are the truth, the catalogue is their index."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from catalog.database import transaction

METRICS = ("mae", "r2", "r", "balanced_accuracy", "auc", "f1", "precision", "recall")


def index_runs(connection: duckdb.DuckDBPyConnection, runs_directory: Path) -> list[str]:
    """Enter every finished run that lies on disk and drop those that are gone.

    Returns
    -------
    list of str
        Runs whose metrics.json cannot be read; they are not entered.
    """
    unreadable = []
    with transaction(connection):
        connection.execute("DELETE FROM run")
        for path in sorted(runs_directory.glob("*/metrics.json")):
            try:
                entry = run_entry(path.parent.name, json.loads(path.read_text(encoding="utf-8")))
                entry["withdrawn"] = _num_withdrawn(path.with_name("withdrawn.json"))
            except (ValueError, KeyError, TypeError, AttributeError):
                unreadable.append(path.parent.name)
                continue
            names = ", ".join(entry)
            marks = ", ".join("?" for _ in entry)
            connection.execute(f"INSERT INTO run ({names}) VALUES ({marks})", list(entry.values()))
    return unreadable


def run_entry(run_id: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the catalogue's row of one run from its metrics.json."""
    entry = {
        "run_id": run_id,
        "target": metrics["target"],
        "kind": metrics["kind"],
        "inputs": "+".join(metrics["inputs"]),
    }
    entry |= {f"n_{split}": metrics["n"][split] for split in ("train", "val", "test")}
    entry |= {f"{split}_{name}": metrics[split].get(name) for split in ("val", "test") for name in METRICS}
    return entry


def _num_withdrawn(mark: Path) -> int | None:
    """Return how many samples of a run's cohort have withdrawn since, from its mark; None where there is no mark."""
    if not mark.exists():
        return None
    return int(sum(json.loads(mark.read_text(encoding="utf-8"))["withdrawn"].values()))
