"""Scores and predictions of models that were never trained."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmstudy.comparison.scores import SCORES
from mmstudy.sweep.cells import Cell

Values = NDArray[np.float64]


def score_row(cell: Cell, score: float | None = None, **more: Any) -> dict[str, Any]:
    """Return a row of `SCORES`; what is not given is as of any model of a sweep."""
    unknown = dict.fromkeys(SCORES.names())
    usual = {"domain": "serology", "kind": "continuous", "method": "separate", "network": "fusion", "seed": 1}
    usual |= {"split": "study"}
    of_cell = {"cell": cell.name, "target": cell.target, "inputs": list(cell.inputs), "blocks": list(cell.blocks)}
    same = {"regime": "r", "participants": "p", "run_id": cell.name}
    return {**unknown, **usual, **of_cell, **same, "score": score, "r2": score, **more}


def table(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCORES, orient="row")


@dataclass
class MadeUp:
    """Predictions by run, all of the same samples."""

    truth: Values
    predictions: dict[str, Values]
    participants: Sequence[int] = ()
    order: dict[str, list[int]] = field(default_factory=dict)
    """Of the samples of a run, where it is another."""

    def tested(self, run_id: str, target: str) -> pl.DataFrame:
        ids = [f"{number:04}" for number in range(len(self.truth))]
        whole = pl.DataFrame({"sample_id": ids, "truth": self.truth, "prediction": self.predictions[run_id]})
        return whole[self.order.get(run_id, list(range(len(ids))))]

    def people(self, run_id: str) -> pl.DataFrame:
        numbers = list(self.participants) or list(range(len(self.truth)))
        ids = [f"{number:04}" for number in range(len(numbers))]
        return pl.DataFrame({"sample_id": ids, "participant": numbers})
