"""Run directories as training leaves them, as far as results are read from them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mmbase.files import write_json
from mmdata.study import Study, create_study, parse_config
from mmtrain.config.run import parse_run_config
from mmtrain.run import RunDirectory, create_run

SIZES = {"train": 80, "val": 10, "test": 12}
AGE = {"target": "age", "kind": "regression", "unit": "years", "inputs": ["flair", "t1"]}
SEX = {"target": "sex", "kind": "classification", "unit": "1 male", "inputs": ["t1"]}


def make_study(root: Path) -> Study:
    return create_study(root, parse_config({"salt": "salt-of-a-study-of-runs"}, "test"))


def add_run(
    study: Study,
    name: str,
    settings: dict[str, Any],
    metrics: dict[str, Any] | None,
    *,
    tested: Sequence[int] = range(SIZES["test"]),
) -> RunDirectory:
    """Make a run of this name; without metrics it is not finished.

    Parameters
    ----------
    metrics
        What metrics.json has beside target, kind, inputs and n.
    tested
        Numbers of the test samples.
    """
    made = create_run(study.layout.runs, parse_run_config(settings))
    run = RunDirectory(made.path.rename(made.path.with_name(name)))
    ids = [f"{number:016x}" for number in tested]
    pl.DataFrame({"sample_id": ids, "row": list(tested), "split": "test"}).write_parquet(run.cohort)
    if metrics is not None:
        same = {name: settings[name] for name in ("target", "kind", "inputs") if name in settings}
        write_json(run.metrics, {"n": SIZES, "val": {}, "test": {}, **same, **metrics})
    return run
