"""All pictures of a comparison, by the names of their files."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from mmstudy.comparison.compare import Comparison
from mmstudy.comparison.contenders import SERIES
from mmstudy.comparison.drawing.effects import draw_effects
from mmstudy.comparison.drawing.grid import draw_grid, panels_of
from mmstudy.comparison.drawing.hours import draw_hours
from mmstudy.comparison.drawing.optimism import draw_optimism
from mmstudy.comparison.flags import FLAG_NAMES
from mmstudy.comparison.totals import each_run_once
from mmstudy.sweep.settings import FROZEN_METHOD

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OF_GRID = (
    *("target", "domain", "kind", "inputs", "blocks", "score", "score_low", "score_high", "val_score"),
    *("best_baseline", "baseline_score", *FLAG_NAMES),
)
_OF_HOURS = ("target", "inputs", "blocks", "minutes")
_KINDS = ("grid", "effects", "training-time", "optimism")


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnTable:
    """A picture and the table that it is drawn of."""

    name: str
    """Of the file, without the end that says its form."""
    figure: "Figure"
    table: pl.DataFrame


def picture_names(comparison: Comparison) -> list[str]:
    """Return the names that pictures of a comparison may have, without the ends that say their form."""
    return [f"{kind}-{series_name(*of)}" for of in _series(comparison) for kind in _KINDS]


def draw_pictures(comparison: Comparison) -> Iterator[DrawnTable]:
    """Yield each picture that there is something to show in, by method and network."""
    own = "each cell has its own participants" if comparison.each_its_own else ""
    for of in _series(comparison):
        words, title = series_name(*of), " · ".join(name for name in (*of, own) if name)
        results, best, effects = (_of(frame, of) for frame in (comparison.results, comparison.best, comparison.effects))
        trunks = comparison.trunk_hours if of[0] == FROZEN_METHOD else 0.0
        where = ", ".join(best["chosen_on"].unique().sort().to_list()) or "nothing"
        drawn = (
            (draw_grid(panels_of(results, best), f"{title}: best set chosen on {where}"), _grid_table(results, best)),
            (draw_effects(effects, title) if effects.height else None, effects),
            (draw_hours(results, title, trunk_hours=trunks), each_run_once(results).select(_OF_HOURS)),
            (draw_optimism(best, title), best),
        )
        for kind, (figure, table) in zip(_KINDS, drawn, strict=True):
            if figure is not None:
                yield DrawnTable(name=f"{kind}-{words}", figure=figure, table=table)


def series_name(method: str, network: str) -> str:
    """Return a method and a network as a part of the name of a file."""
    return f"{method}-{network}" if network else method


def _grid_table(results: pl.DataFrame, best: pl.DataFrame) -> pl.DataFrame:
    chosen = best.select("target", "cell", is_best=pl.lit(value=True))
    joined = results.join(chosen, on=("target", "cell"), how="left", maintain_order="left")
    return joined.select(*_OF_GRID, pl.col("is_best").fill_null(value=False))


def _series(comparison: Comparison) -> list[tuple[str, str]]:
    return list(comparison.results.select(SERIES).unique(maintain_order=True).iter_rows())


def _of(frame: pl.DataFrame, series: tuple[str, str]) -> pl.DataFrame:
    method, network = series
    return frame.filter(pl.col("method") == method, pl.col("network") == network)
