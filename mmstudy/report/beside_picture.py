"""The scores of a report's models against those of another table: a point for each cell that is in both."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from mmstudy.comparison.contributions import BINARY, CONTINUOUS, MAIN_TITLES
from mmstudy.comparison.drawing.pictures import DrawnTable, series_name
from mmstudy.comparison.drawing.sheet import Sheet, new_sheet
from mmstudy.report.graph_picture import LOOKS
from mmtrain.drawing.figures import DASHED, GREY

Content = Mapping[str, Any]
_LOWEST = {CONTINUOUS: -0.2, BINARY: 0.4}
"""Of the axes: what is lower is drawn at their end, so that one bad model does not press all others together."""
_SIDE, _LEFT, _HEAD, _FOOT, _GAP = 3.1, 0.6, 0.75, 0.85, 0.75
"""In inches: of a panel, and around it."""
_ONE_CLASS = pl.any_horizontal(pl.col("predicts_one_class", "other_predicts_one_class").fill_null(value=False))
_AREA = 16
"""Of a point in square points."""


def draw_beside_pictures(content: Content) -> Iterator[DrawnTable]:
    """Yield a picture for each series that has compared cells; none of a report without another table."""
    if "beside" not in content:
        return
    for place, series in enumerate(content["series"]):
        table = _table_of(content, place)
        if not table.is_empty():
            name = f"beside-{series_name(series['method'], series['network'])}"
            yield DrawnTable(name=name, figure=_draw(table, series["title"], content["beside"]["name"]), table=table)


def _table_of(content: Content, series: int) -> pl.DataFrame:
    models, targets, cells = content["models"], content["targets"], content["beside"]["cells"]
    rows = []
    for row, model in enumerate(cells["model"]):
        if models["series"][model] != series:
            continue
        target = targets[models["target"][model]]
        inputs = [content["inputs"][place]["name"] for place in content["sets"][models["set"][model]]]
        rows.append(
            {
                "target": target["name"],
                "domain": content["domains"][target["domain"]],
                "kind": target["kind"],
                "inputs": "+".join(inputs),
                "score": models["score"][model],
                "other_score": cells["score"][row],
                "difference": cells["difference"][row],
                "predicts_one_class": models["predicts_one_class"][model],
                "other_predicts_one_class": cells["predicts_one_class"][row],
            }
        )
    numbers = dict.fromkeys(("score", "other_score", "difference"), pl.Float64)
    flags = dict.fromkeys(("predicts_one_class", "other_predicts_one_class"), pl.Boolean)
    schema = {**dict.fromkeys(("target", "domain", "kind", "inputs"), pl.String), **numbers, **flags}
    return pl.DataFrame(rows, schema=schema)


def _draw(table: pl.DataFrame, title: str, other: str) -> Any:
    kinds = [kind for kind in MAIN_TITLES if (table["kind"] == kind).any()]
    domains = table["domain"].unique(maintain_order=True).to_list()
    width = _LEFT + len(kinds) * (_SIDE + _GAP)
    told = "a point: a target and a set of inputs; open: predicts one class, here or there; no difference is tested"
    with new_sheet(max(width, 6.0), _HEAD + _SIDE + _FOOT, f"{title} beside {other}", told) as sheet:
        for column, kind in enumerate(kinds):
            left = _LEFT + column * (_SIDE + _GAP)
            _draw_panel(sheet, left, table.filter(pl.col("kind") == kind), kind, domains)
        handles = sheet.figure.axes[0].get_legend_handles_labels()
        sheet.figure.legend(*handles, loc="lower left", ncols=len(LOOKS), frameon=False, bbox_to_anchor=(0.02, 0.0))
    return sheet.figure


def _draw_panel(sheet: Sheet, left: float, table: pl.DataFrame, kind: str, domains: Sequence[str]) -> None:
    axes = sheet.axes(left, _FOOT, _SIDE, _SIDE)
    low, high = _ends(table, kind)
    axes.plot((low, high), (low, high), color=GREY, linewidth=0.8, linestyle=DASHED, zorder=1)
    for place, domain in enumerate(domains):
        colour, form = LOOKS[place % len(LOOKS)]
        style = {"s": _AREA, "marker": form, "edgecolors": colour, "linewidths": 0.7, "clip_on": False}
        for is_open, face in ((False, colour), (True, "none")):
            of = table.filter(pl.col("domain") == domain, _ONE_CLASS.eq(is_open))
            x, y = (of[name].clip(low, high).to_list() for name in ("other_score", "score"))
            axes.scatter(x, y, facecolors=face, alpha=0.75, zorder=2, **style)
        axes.scatter([], [], s=_AREA, marker=form, color=colour, label=domain)
    title = MAIN_TITLES[kind]
    axes.set(xlim=(low, high), ylim=(low, high), xlabel=f"{title} there", ylabel=f"{title} here")
    axes.tick_params(length=2)
    axes.spines[["top", "right"]].set_visible(False)


def _ends(table: pl.DataFrame, kind: str) -> tuple[float, float]:
    """Return the ends of both axes, which are equal, so that the diagonal is where both scores are."""
    values = [*table["score"], *table["other_score"]]
    low, high = max(min(values), _LOWEST[kind]), max(values)
    room = 0.04 * (high - low) or 0.01
    return low - room, max(high + room, low + room)
