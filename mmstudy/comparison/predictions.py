"""What finished runs predicted of their test samples, read from their directories."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from mmtrain.data.cohort import read_cohort
from mmtrain.errors import TrainError
from mmtrain.run import RunDirectory, read_table
from mmtrain.unchanged import require_unchanged

_TEST = "test"


@dataclass(frozen=True, slots=True)
class RunPredictions:
    """The predictions of some runs, by their names; every file is read when it is asked for."""

    runs: Mapping[str, RunDirectory]

    def tested(self, run_id: str, target: str) -> pl.DataFrame:
        """Return sample_id, truth and prediction of the test samples that have a label of a target.

        Raises
        ------
        TrainError
            Its predictions are gone, damaged or not as they were written.
        """
        run = self.runs[run_id]
        require_unchanged(run.predictions)
        table = read_table(run.predictions)
        try:
            wanted = table["split"] == _TEST
            if "target" in table.columns:
                wanted &= table["target"] == target
            numbers = {name: table[name].filter(wanted).cast(pl.Float64) for name in ("truth", "prediction")}
            # column by column: a query costs more than the work, and there are thousands of runs
            return pl.DataFrame({"sample_id": table["sample_id"].filter(wanted), **numbers})
        except pl.exceptions.PolarsError as error:
            raise TrainError(
                f"{run.predictions.name} of run {run.run_id} is damaged.", "Put it back from a backup."
            ) from error

    def people(self, run_id: str) -> pl.DataFrame:
        """Return sample_id and participant, a number within the run, of its test samples.

        Raises
        ------
        TrainError
            Its cohort is gone, damaged or not as it was written.
        """
        cohort = read_cohort(self.runs[run_id].cohort)
        members = cohort.members(_TEST)
        return pl.DataFrame(
            {"sample_id": [cohort.sample_ids[i] for i in members], "participant": cohort.participants[members]},
            schema={"sample_id": pl.String, "participant": pl.Int64},
        )
