"""Runs of a study that show what a model gives with, and without, a person among those it was trained on."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from mmstudy.privacy.training_predictions import read_predictions
from mmstudy.results.read import RunResult
from mmtrain.errors import TrainError
from mmtrain.privacy.candidates import Candidates, signals
from mmtrain.privacy.likelihood import Shadows

MAY_DIFFER = ("split", "seed")
"""Settings in which a shadow differs from the run that is attacked; where it was computed may differ too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShadowRuns:
    """Runs with the settings of another that was trained on other people."""

    usable: Sequence[RunResult]
    lacking: Sequence[str]
    """Those that have no predictions of their training samples, by name."""


def find_shadow_runs(result: RunResult, others: Sequence[RunResult]) -> ShadowRuns:
    """Return the shadows of a run: one for each other split, the first of several."""
    alike = [other for other in others if _is_shadow(result, other)]
    of_split = {other.config.data.split: other for other in reversed(alike) if _has_predictions(other)}
    lacking = [other.run_id for other in alike if other.config.data.split not in of_split]
    return ShadowRuns(usable=sorted(of_split.values(), key=lambda other: other.run_id), lacking=lacking)


def read_shadows(runs: Sequence[RunResult], candidates: Candidates, target: str, *, is_binary: bool) -> Shadows:
    """Return what shadow runs, one at least, gave of each candidate.

    Raises
    ------
    TrainError
        The predictions of a run are damaged.
    """
    of_runs = [_read_shadow(run, candidates, target, is_binary=is_binary) for run in runs]
    signals_MN, is_in_MN = (np.array(rows) for rows in zip(*of_runs, strict=True))
    is_known_MN = ~np.isnan(signals_MN)
    return Shadows(signals_MN=signals_MN, is_in_MN=is_in_MN & is_known_MN, is_out_MN=is_known_MN & ~is_in_MN)


def _read_shadow(
    run: RunResult, candidates: Candidates, target: str, *, is_binary: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return a shadow's signal of each candidate, NaN where there is none, and whether it was trained on them."""
    trained, held_out = read_predictions(run.directory, target)
    table = pl.concat([trained.with_columns(is_in=pl.lit(True)), held_out.with_columns(is_in=pl.lit(False))])
    asked = pl.DataFrame({"sample_id": candidates.sample_ids}, schema={"sample_id": pl.String})
    try:
        joined = asked.join(table, on="sample_id", how="left", maintain_order="left", validate="1:1")
    except pl.exceptions.PolarsError as error:
        raise TrainError(f"A sample comes twice in the predictions of run {run.run_id}.") from error
    prediction = joined["prediction"].fill_null(float("nan")).to_numpy()
    return (
        signals(candidates.truth, prediction, is_binary=is_binary),
        joined["is_in"].fill_null(value=False).to_numpy(),
    )


def _is_shadow(result: RunResult, other: RunResult) -> bool:
    return (
        other.run_id != result.run_id
        and other.target == result.target
        and other.config.data.split != result.config.data.split
        and dict(_compared(other)) == dict(_compared(result))
    )


def _compared(result: RunResult) -> Iterator[tuple[str, object]]:
    """Yield the settings that must be equal of a run and its shadows."""
    config = result.config
    for section in (config.data, config.model, config.optimisation, config.augmentation):
        yield from ((name, value) for name, value in asdict(section).items() if name not in MAY_DIFFER)


def _has_predictions(result: RunResult) -> bool:
    return result.directory.training_predictions.exists() and result.directory.predictions.exists()
