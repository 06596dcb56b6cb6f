"""The file of predictions: one row for each sample; of several targets one for each sample and target."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from mmstudy.predict.predictor import Predictor
from mmstudy.predict.samples import Outcome
from mmtrain.config.data import TargetConfig

_SCHEMA = {
    "participant": pl.String,
    "sample_id": pl.String,
    "instance": pl.Int32,
    "target": pl.String,
    "prediction": pl.Float64,
    "probability": pl.Float64,
    "class": pl.Int8,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "status": pl.String,
    "reason": pl.String,
    "warnings": pl.String,
}
_SEPARATOR = "; "
"""Of warnings."""
_BETWEEN_REASONS = " | "
"""Reasons are sentences."""


def prediction_frame(
    outcomes: Sequence[Outcome], predictor: Predictor, assumed: Sequence[str], *, identify: bool
) -> pl.DataFrame:
    """Return all rows, in the order of the outcomes.

    Parameters
    ----------
    assumed
        What the model's contract takes for granted, told beside every prediction.
    identify
        Write the source's own identifiers.
    """
    targets = predictor.card.targets
    frames = [_target_frame(outcomes, predictor, index, target, assumed) for index, target in enumerate(targets)]
    frame = pl.concat([one.with_row_index("place") for one in frames]).sort("place", maintain_order=True).drop("place")
    unwanted = [*([] if identify else ["participant"]), *([] if len(targets) > 1 else ["target"])]
    return frame.drop(unwanted)


def units_of_columns(predictor: Predictor) -> dict[str, str]:
    """Return the unit of the columns that have one: of several targets, and of probabilities, they have none."""
    units = {"" if target.name in predictor.thresholds else target.unit for target in predictor.card.targets}
    return dict.fromkeys(("prediction", "lower", "upper"), units.pop()) if len(units) == 1 else {}


def _target_frame(
    outcomes: Sequence[Outcome], predictor: Predictor, index: int, target: TargetConfig, assumed: Sequence[str]
) -> pl.DataFrame:
    nothing = math.nan
    values_N = np.array([nothing if o.prediction_T is None else o.prediction_T[index] for o in outcomes], np.float64)
    spreads_N = np.array([nothing if o.spread_T is None else o.spread_T[index] for o in outcomes], np.float64)
    lower_N, upper_N = np.full_like(values_N, nothing), np.full_like(values_N, nothing)
    if intervals := predictor.intervals.of.get(target.name):
        has_all_N = np.array([not outcome.without for outcome in outcomes])
        lower_N, upper_N = intervals.bounds(predictor.level, np.where(has_all_N, values_N, nothing), spreads_N)
    threshold = predictor.thresholds.get(target.name)
    rows = [
        {
            "participant": outcome.sample.participant,
            "sample_id": outcome.sample.name,
            "instance": outcome.sample.instance,
            "target": target.name,
            "prediction": _known(value),
            "probability": None if threshold is None else _known(value),
            "class": None if threshold is None or math.isnan(value) else int(value >= threshold),
            "lower": _known(lower),
            "upper": _known(upper),
            "status": outcome.status,
            "reason": _BETWEEN_REASONS.join(fault.text for fault in outcome.faults) or None,
            "warnings": _SEPARATOR.join(_told(outcome, assumed)) or None,
        }
        for outcome, value, lower, upper in zip(
            outcomes, values_N.tolist(), lower_N.tolist(), upper_N.tolist(), strict=True
        )
    ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _told(outcome: Outcome, assumed: Sequence[str]) -> Iterator[str]:
    yield from outcome.warnings
    yield from dict.fromkeys(f"allowed {one.label}" for one in outcome.allowed)
    if outcome.status == "predicted":
        yield from (f"assumed {name}" for name in assumed)
