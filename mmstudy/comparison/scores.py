"""The scores of many models as one table, a row for each cell and model, whatever it was read from.

It is made of the runs of a study or of a table in the published columns; best sets, tests, mixed models and pictures
are made of it alone, but for paired tests, which need the runs' predictions too.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from mmtrain.errors import TrainError

_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "cell": pl.String,  # name of the cell: mmstudy.sweep.cells.Cell.name
    "target": pl.String,  # name in the field dictionary, or as the published table has it
    "domain": pl.String,  # the target's own group: constitutional, disease, serology, psychology, or one's own
    "kind": pl.String,  # continuous or binary
    "inputs": pl.List(pl.String),  # of mmbase.names.INPUTS, in their order
    "blocks": pl.List(pl.String),  # groups of tabular features that the model sees
    "method": pl.String,  # separate, shared or frozen; baseline; published
    "network": pl.String,  # fusion, linear, ...; empty where a table does not say
    "seed": pl.Int64,
    "split": pl.String,  # study, fold-1/5, ...; null where a table does not say
    "run_id": pl.String,
    "regime": pl.String,  # hash of what must be equal beside the participants; null where it is not known
    "augmentation": pl.String,  # the same of how volumes are changed; null where there are none, or it is not known
    "participants": pl.String,  # hash of who trains, validates and tests; null where it is not known
    "n_test": pl.Int64,
    "smallest_cell": pl.Int64,  # cell of a binary target's confusion matrices, on validation and test, that is not 0
    "score": pl.Float64,  # on test: R2 of a continuous target, balanced accuracy of a binary one
    "score_low": pl.Float64,  # of its 95 % interval
    "score_high": pl.Float64,
    "val_score": pl.Float64,  # the same on validation, by which is chosen; null where a table has none
    "balanced_accuracy": pl.Float64,  # this and the next four: of a continuous target after the median split
    "precision": pl.Float64,
    "recall": pl.Float64,
    "f1": pl.Float64,
    "auc": pl.Float64,  # micro average, as published
    "average_precision": pl.Float64,
    "prevalence": pl.Float64,
    "threshold": pl.Float64,
    "loss": pl.Float64,
    "r2": pl.Float64,  # this and the next two: null of a binary target
    "r": pl.Float64,
    "mae": pl.Float64,
    "minutes": pl.Float64,  # of training
    "predicts_one_class": pl.Boolean,  # on test
}
SCORES = pl.Schema(_COLUMNS)
"""Columns and types; what is not known is null. Scores are on the test split where a column does not say otherwise."""


def choose_rows(scores: pl.DataFrame, wanted: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Return the models that have one of the wanted values in each column.

    Raises
    ------
    TrainError
        No model has one of them.
    """
    for column, values in wanted.items():
        there = scores[column].unique(maintain_order=True).to_list()
        if missing := [value for value in values if value not in there]:
            raise TrainError(f"There are no models with the {column} {missing[0]!r}.", f"There are {', '.join(there)}.")
        scores = scores.filter(pl.col(column).is_in(values))
    return scores
