"""A run's predictions, and what they come to: for runs whose metrics.json does not say it all, or says it of others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmtrain.config.data import TargetConfig
from mmtrain.data.cohort import Cohort
from mmtrain.metrics.judgement import judge
from mmtrain.metrics.predicted import Predicted
from mmtrain.page.facts import HELD_OUT
from mmtrain.targets.registry import load_kind

MIN_SAMPLES = 2
"""Of each split; with fewer there is nothing to measure."""


def parse_predictions(
    table: pl.DataFrame, cohort: Cohort | None, asked: Sequence[TargetConfig]
) -> dict[str, dict[str, Predicted]]:
    """Return truth and prediction by target and split, of samples that are in the cohort.

    Parameters
    ----------
    cohort
        Who the samples are of; None where it cannot be read, then each is of somebody else.
    """
    if "target" not in table.columns:
        table = table.with_columns(target=pl.lit(asked[0].name))
    sample_ids = table["sample_id"].unique(maintain_order=True).to_list() if cohort is None else cohort.sample_ids
    people = pl.DataFrame({"sample_id": sample_ids}).with_row_index("place")
    joined = table.join(people, on="sample_id", how="inner", maintain_order="left")
    return {
        str(target): {
            str(split): _predicted(part, cohort)
            for (split,), part in of_target.partition_by("split", as_dict=True, maintain_order=True).items()
        }
        for (target,), of_target in joined.partition_by("target", as_dict=True, maintain_order=True).items()
    }


def judge_again(
    target: TargetConfig, predicted: Mapping[str, Predicted], training_truth: NDArray[np.float64], seed: int
) -> dict[str, Any]:
    """Return what metrics.json would say of a target; nothing where a split has next to nobody."""
    if not len(training_truth) or any(split not in predicted for split in HELD_OUT):
        return {}
    if any(len(predicted[split].truth) < MIN_SAMPLES for split in HELD_OUT):
        return {}
    splits = {split: predicted[split] for split in HELD_OUT}
    return judge(load_kind(target.kind).metrics, target, training_truth, splits, seed)


def _predicted(table: pl.DataFrame, cohort: Cohort | None) -> Predicted:
    places = table["place"].to_numpy()
    return Predicted(
        truth=table["truth"].cast(pl.Float64).to_numpy(),
        prediction=table["prediction"].cast(pl.Float64).to_numpy(),
        participants=places.astype(np.int64) if cohort is None else cohort.participants[places],
        groups={} if cohort is None else {name: values[places] for name, values in cohort.groups.items()},
    )
