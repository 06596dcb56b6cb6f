"""What each input adds to performance in a domain of targets: linear mixed-effects models with an intercept per target.

score of a cell = intercept + target's own deviation + Σ effect of each input that the cell has + residual

There is one model for each domain, method and network. The score is R² where all targets of the domain are continuous,
else balanced accuracy, of a continuous target that of the split at the training median. Contenders with several seeds
or folds count once, by their mean.

Variances are estimated by restricted maximum likelihood. Tests of the fixed effects are t tests with as many degrees of
freedom as R's nlme gives effects within groups: n − groups − effects. The normal distribution, which statsmodels
uses, gives p values that are too small where there are few cells.

Source: Pinheiro and Bates 2000, Mixed-effects models in S and S-PLUS, section 2.4.2; the models of the published study:
Ruffle et al., NeuroImage 2024, doi 10.1016/j.neuroimage.2024.120600.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from mmstudy.comparison.contenders import CONSTANT, SERIES
from mmstudy.comparison.contributions import CONTINUOUS
from mmstudy.comparison.elements import Unit, elements_of, find_units
from mmtrain.metrics.bootstrap import COVERAGE
from mmtrain.metrics.metric import Values

INTERCEPT = "intercept"
MIN_TARGETS = 2
"""Of a domain: the spread of one target's intercept cannot be estimated."""
_ROUNDING = 1e-10
_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(("domain", *SERIES, "outcome"), pl.String),
    "term": pl.String,  # intercept, an input, or a group of features; several that always come together by +
    **dict.fromkeys(("estimate", "se", "t"), pl.Float64),
    "df": pl.Int64,
    **dict.fromkeys(("p", "low", "high"), pl.Float64),  # two-sided; ends of the 95 % interval
    **dict.fromkeys(("sd_target", "sd_residual"), pl.Float64),  # of the model
    **dict.fromkeys(("num_cells", "num_targets"), pl.Int64),
    "converged": pl.Boolean,
}
EFFECTS = pl.Schema(_COLUMNS)
"""A row for each term of each model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MixedModel:
    """A fitted model."""

    estimates_T: Values
    """The intercept first."""
    errors_T: Values
    """Standard errors."""
    sd_group: float
    sd_residual: float
    df: int
    converged: bool


def domain_effects(contenders: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Return the effect of each input in each domain, and for each domain without a model a sentence that says why."""
    frames, missing = [EFFECTS.to_frame()], dict[tuple[str, str], list[str]]()
    told = contenders.filter(pl.col("network") != CONSTANT)
    for (domain, *series), rows in told.group_by("domain", *SERIES, maintain_order=True):
        found = _effects_of(rows)
        if isinstance(found, str):
            reason = (domain or "targets without a domain", found)
            missing.setdefault(reason, []).append(" ".join(filter(None, series)))
        else:
            frames.append(found)
    notes = [f"No mixed model of {of} ({', '.join(whose)}): {reason}." for (of, reason), whose in missing.items()]
    return pl.concat(frames), notes


def fit_random_intercepts(outcome_N: Values, design_NT: Values, groups_N: NDArray[Any]) -> MixedModel:
    """Fit effects and an intercept for each group by restricted maximum likelihood.

    Parameters
    ----------
    design_NT
        Its first column is the intercept's; of full rank.
    """
    from statsmodels.regression.mixed_linear_model import MixedLM
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    num_groups = len(np.unique(groups_N))
    scale = _spread_about_fit(outcome_N, design_NT, groups_N)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # told by `converged`
        warnings.simplefilter("ignore", UserWarning)  # a variance of 0 makes the covariance of variances singular
        fitted = MixedLM(outcome_N / scale, design_NT, groups_N).fit(reml=True)
    return MixedModel(
        estimates_T=np.asarray(fitted.fe_params) * scale,
        errors_T=np.asarray(fitted.bse_fe) * scale,
        sd_group=float(np.sqrt(np.asarray(fitted.cov_re)[0, 0])) * scale,
        sd_residual=float(np.sqrt(fitted.scale)) * scale,
        df=len(outcome_N) - num_groups - (design_NT.shape[1] - 1),
        converged=bool(fitted.converged),
    )


def _spread_about_fit(outcome_N: Values, design_NT: Values, groups_N: NDArray[Any]) -> float:
    """Return the standard deviation that effects and groups leave, by which the optimiser's steps are scaled."""
    dummies_NG = (groups_N[:, None] == np.unique(groups_N)).astype(np.float64)
    both = np.concatenate([design_NT, dummies_NG], axis=1)
    residual_N = outcome_N - both @ np.linalg.lstsq(both, outcome_N, rcond=None)[0]
    return float(np.sqrt((residual_N**2).mean()))


def _effects_of(rows: pl.DataFrame) -> pl.DataFrame | str:
    """Return the effects of one domain; or why there are none."""
    outcome = "r2" if (rows["kind"] == CONTINUOUS).all() else "balanced_accuracy"
    rows = rows.filter(pl.col(outcome).is_not_null())
    num_targets = rows["target"].n_unique()
    if num_targets < MIN_TARGETS:
        return f"{num_targets} target{'' if num_targets == 1 else 's'} with scores, and it needs {MIN_TARGETS}"
    terms, design_NT = _design(rows)
    if rows.height - num_targets - len(terms) < 1:
        return f"{rows.height} cells are too few to estimate it"
    outcome_N = rows[outcome].to_numpy()
    if _spread_about_fit(outcome_N, design_NT, rows["target"].to_numpy()) <= _ROUNDING:
        return "its scores leave nothing to chance"
    model = fit_random_intercepts(outcome_N, design_NT, rows["target"].to_numpy())
    t_T = model.estimates_T / model.errors_T
    reach_T = stdtrit(model.df, (1 + COVERAGE) / 2) * model.errors_T
    return pl.DataFrame(
        {
            "domain": rows["domain"][0],
            **{name: rows[name][0] for name in SERIES},
            "outcome": outcome,
            "term": [INTERCEPT, *("+".join(unit) for unit in terms)],
            "estimate": model.estimates_T,
            "se": model.errors_T,
            "t": t_T,
            "df": model.df,
            "p": 2 * stdtr(model.df, -np.abs(t_T)),
            "low": model.estimates_T - reach_T,
            "high": model.estimates_T + reach_T,
            "sd_target": model.sd_group,
            "sd_residual": model.sd_residual,
            "num_cells": rows.height,
            "num_targets": num_targets,
            "converged": model.converged,
        },
        schema=EFFECTS,
    )


def _design(rows: pl.DataFrame) -> tuple[list[Unit], Values]:
    """Return the effects that can be told apart, and the design matrix with the intercept first.

    What all cells have is in the intercept; of inputs that follow from others, the first in the order of tables stay.
    """
    sets = [elements_of(*row) for row in rows.select("inputs", "blocks").iter_rows()]
    terms: list[Unit] = []
    columns = [np.ones(len(sets))]
    for unit in find_units(sets):
        column = np.array([float(elements.issuperset(unit)) for elements in sets])
        if np.linalg.matrix_rank(np.stack([*columns, column])) == len(columns) + 1:
            terms.append(unit)
            columns.append(column)
    return terms, np.stack(columns, axis=1)
