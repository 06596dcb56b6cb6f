"""What a finished run predicted of the samples of a split."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmtrain.errors import TrainError
from mmtrain.run import RunDirectory, read_table
from mmtrain.unchanged import require_unchanged


def predictions_for(run: RunDirectory, target: str, split: str, sample_ids: Sequence[str]) -> NDArray[np.float64]:
    """Return what a run predicted of some samples, in their order; NaN of those it did not predict in this split.

    Raises
    ------
    TrainError
        Its predictions are gone, damaged or not as they were written.
    """
    require_unchanged(run.predictions)
    table = read_table(run.predictions)
    try:
        if "target" in table.columns:
            table = table.filter(pl.col("target") == target)
        found = table.filter(pl.col("split") == split).select("sample_id", pl.col("prediction").cast(pl.Float64))
        asked = pl.DataFrame({"sample_id": list(sample_ids)}, schema={"sample_id": pl.String})
        joined = asked.join(found, on="sample_id", how="left", maintain_order="left", validate="1:1")
    except pl.exceptions.PolarsError as error:
        raise TrainError(
            f"{run.predictions.name} of run {run.run_id} is damaged.", "Put it back from a backup."
        ) from error
    return joined["prediction"].fill_null(float("nan")).to_numpy()
