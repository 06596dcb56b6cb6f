"""All pictures of a comparison, by the names of their files."""

from collections.abc import Iterator

import polars as pl
from matplotlib.figure import Figure

from mmstudy.comparison.compare import Comparison
from mmstudy.comparison.contenders import SERIES
from mmstudy.comparison.drawing.effects import draw_effects
from mmstudy.comparison.drawing.grid import draw_grid, panels_of
from mmstudy.comparison.drawing.hours import draw_hours
from mmstudy.comparison.drawing.optimism import draw_optimism

_KINDS = ("grid", "effects", "training-time", "optimism")


def picture_names(comparison: Comparison) -> list[str]:
    """Return the names that pictures of a comparison may have, without the ends that say their form."""
    return [f"{kind}-{_series_name(*of)}" for of in _series(comparison) for kind in _KINDS]


def draw_pictures(comparison: Comparison) -> Iterator[tuple[str, Figure]]:
    """Yield the name and figure of each picture that there is something to show in, by method and network."""
    own = "each cell has its own participants" if comparison.each_its_own else ""
    for of in _series(comparison):
        words, title = _series_name(*of), " · ".join(name for name in (*of, own) if name)
        results, best, effects = (_of(frame, of) for frame in (comparison.results, comparison.best, comparison.effects))
        where = ", ".join(best["chosen_on"].unique().sort().to_list()) or "nothing"
        figures = (
            draw_grid(panels_of(results, best), f"{title}: best set chosen on {where}"),
            draw_effects(effects, title) if effects.height else None,
            draw_hours(results, title),
            draw_optimism(best, title),
        )
        for kind, figure in zip(_KINDS, figures, strict=True):
            if figure is not None:
                yield f"{kind}-{words}", figure


def _series(comparison: Comparison) -> list[tuple[str, str]]:
    return list(comparison.results.select(SERIES).unique(maintain_order=True).iter_rows())


def _of(frame: pl.DataFrame, series: tuple[str, str]) -> pl.DataFrame:
    method, network = series
    return frame.filter(pl.col("method") == method, pl.col("network") == network)


def _series_name(method: str, network: str) -> str:
    return f"{method}-{network}" if network else method
