"""What each input adds, as columns: the coefficients of the mixed models."""

import polars as pl

from mmstudy.comparison.mixed_models import INTERCEPT
from mmstudy.report.models import Columns, places_of_inputs, shortened
from mmstudy.report.names import Names

_NUMBERS = ("estimate", "se", "t", "p", "low", "high")
_AS_THEY_ARE = ("df", "num_cells", "num_targets", "converged")


def effect_columns(effects: pl.DataFrame, names: Names) -> Columns:
    """Return a row for each term of each domain and series.

    Parameters
    ----------
    effects
        `mmstudy.comparison.mixed_models.EFFECTS`.
    """
    rows = effects.rows(named=True)
    inputs = [() if row["term"] == INTERCEPT else tuple(row["term"].split("+")) for row in rows]
    return {
        "domain": [names.domains.index(row["domain"]) for row in rows],
        "series": [names.place_of_series(row["method"], row["network"]) for row in rows],
        "outcome": [row["outcome"] for row in rows],
        "term": [row["term"] for row in rows],
        "inputs": [places_of_inputs(names, of) for of in inputs],
        **{name: [shortened(row[name]) for row in rows] for name in _NUMBERS},
        **{name: [row[name] for row in rows] for name in _AS_THEY_ARE},
    }
