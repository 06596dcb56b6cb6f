"""Pictures of what a study has: distributions of targets, and calibration of the models of best sets."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from mmbase.names import SPLITS
from mmstudy.comparison.contributions import BINARY
from mmstudy.comparison.drawing.pictures import DrawnTable
from mmstudy.report.small_multiples import draw_panels
from mmtrain.drawing.figures import BLUE, DASHED, GREY, ORANGE

Content = Mapping[str, Any]
_MAX_TICKS = 4
_COUNTED = ("all", *SPLITS)


def draw_data_pictures(content: Content) -> Iterator[DrawnTable]:
    """Yield the pictures that a report with a study's facts has; none of a table's."""
    if "data" in content and content["data"]["distributions"]:
        yield _draw_distributions(content)
    if "calibration" in content and any(curve["people"] for curve in content["calibration"]["curves"]):
        yield _draw_calibration(content)


def _draw_distributions(content: Content) -> DrawnTable:
    """Draw counts of participants; bins that are hidden have a mark."""
    shown = content["data"]["distributions"]
    names = [of["name"] for of in shown]

    def draw(number: int, axes: Any) -> None:
        values, counts = shown[number]["values"], shown[number]["all"]
        axes.bar(range(len(values)), [count or 0 for count in counts], color=BLUE, width=0.8)
        hidden = [place for place, count in enumerate(counts) if count is None]
        axes.plot(hidden, [0.0] * len(hidden), "x", color=ORANGE, markersize=4, clip_on=False)
        ticks = list(range(len(values)))[:: max(1, -(-len(values) // _MAX_TICKS))]
        axes.set_xticks(ticks, [values[place] for place in ticks], rotation=25, ha="right", fontsize=5)

    told = "participants by value, each once; ×: not shown, because few people could be worked out from it"
    rows = [
        {"target": name, "value": value, **{name: of[name][place] for name in _COUNTED}}
        for name, of in zip(names, shown, strict=True)
        for place, value in enumerate(of["values"])
    ]
    schema = {"target": pl.String, "value": pl.String, **dict.fromkeys(_COUNTED, pl.Int64)}
    figure = draw_panels(names, draw, "Distributions of targets", told)
    return DrawnTable(name="distributions", figure=figure, table=pl.DataFrame(rows, schema=schema))


def _draw_calibration(content: Content) -> DrawnTable:
    """Draw the curve of each best model with the line of perfect calibration."""
    models = content["models"]
    pairs = zip(content["calibration"]["model"], content["calibration"]["curves"], strict=True)
    shown = [(model, pl.DataFrame(curve)) for model, curve in pairs if curve["people"]]
    targets = [content["targets"][models["target"][model]] for model, _ in shown]
    series = [content["series"][models["series"][model]]["title"] for model, _ in shown]

    def draw(number: int, axes: Any) -> None:
        curve = shown[number][1]
        x, y, low, high = (curve[name].to_numpy() for name in ("predicted", "observed", "low", "high"))
        ends = (0.0 if targets[number]["kind"] == BINARY else min(*x, *y), max(*x, *y))
        axes.plot(ends, ends, color=GREY, linewidth=0.8, linestyle=DASHED)
        axes.vlines(x, low, high, color=BLUE, linewidth=0.8)
        axes.plot(x, y, "o-", color=BLUE, linewidth=1.2, markersize=3)

    titles = [f"{target['name']}, {of}" for target, of in zip(targets, series, strict=True)]
    told = (
        "share of class 1, or mean true value, against the mean prediction of a bin; bars: 95 % intervals; dashed: "
        "perfect"
    )
    figure = draw_panels(titles, draw, "Calibration of the models of best sets, on test", told)
    table = pl.concat(
        curve.select(pl.lit(target["name"]).alias("target"), pl.lit(of).alias("series"), pl.all())
        for (_, curve), target, of in zip(shown, targets, series, strict=True)
    )
    return DrawnTable(name="calibration", figure=figure, table=table)
