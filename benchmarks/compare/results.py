"""What commands leave behind, read as trees of values without a line of mm's own code."""

import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
from safetensors.numpy import load_file

from benchmarks.compare.differences import Tree

_VARYING = {"study", "run_id", "run_directory", "train_seconds", "samples_per_second", "wait_share"}
"""Names of what differs from run to run: paths, ids with times in them, and speeds."""


def hash_files(folder: Path) -> dict[str, str]:
    """Return every file below a folder with the SHA-256 of its bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_settings(study: Path) -> Tree:
    """Return the settings of a study, times as text."""
    return json.loads(json.dumps(tomllib.loads((study / "study.toml").read_text(encoding="utf-8")), default=str))


def read_run(run: Path) -> dict[str, Tree]:
    """Return what a finished run computed."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        "losses": {f"epoch {entry['epoch']}": without_varying(entry) for entry in map(json.loads, lines)},
        "metrics": without_varying(_read_json(run / "metrics.json")),
        "predictions": read_table(run / "predictions.parquet"),
        "weights": load_file(run / "model.safetensors"),
        "model card": _read_json(run / "model.json"),
        "cohort": read_table(run / "cohort.parquet"),
    }


def read_table(path: Path) -> Tree:
    """Return the columns of a Parquet file with their types, and its rows by number in the order they are in."""
    frame = pl.read_parquet(path)
    rows = {str(number): row for number, row in enumerate(frame.iter_rows(named=True))}
    return {"types": {name: str(dtype) for name, dtype in frame.schema.items()}, "rows": rows}


def read_query(content: dict[str, Any]) -> Tree:
    """Return the rows of `mm query --json`, with their columns by name."""
    return [dict(zip(content["columns"], row, strict=True)) for row in content["rows"]]


def without_varying(tree: Tree) -> Tree:
    """Return a tree without what differs from run to run.

    >>> without_varying({"run_id": "age_t1_20300101-000000", "test": {"mae": 4.0}})
    {'test': {'mae': 4.0}}
    """
    if isinstance(tree, dict):
        return {name: without_varying(value) for name, value in tree.items() if name not in _VARYING}
    return [without_varying(value) for value in tree] if isinstance(tree, list) else tree


def is_advice(messages: str) -> bool:
    """Return whether a command failed with one line that says which command of mm to run.

    >>> is_advice("error: The catalogue is of an older mm. Run mm ingest ukb to bring it up to date.")
    True
    """
    return re.fullmatch(r"error: [^\n]*\bmm [a-z][^\n]*", messages.strip()) is not None


def _read_json(path: Path) -> Tree:
    return json.loads(path.read_text(encoding="utf-8"))
