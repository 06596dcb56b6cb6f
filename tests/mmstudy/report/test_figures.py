"""The figures of a report: every picture with its table."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mmstudy.comparison.compare import compare
from mmstudy.report.figures import write_figures
from mmstudy.report.graph_picture import draw_graph, find_places, lay_out
from mmtrain.drawing.figures import to_svg
from tests.mmstudy.comparison.made_up import table
from tests.mmstudy.report.test_content import content_of, rows

CONTENT: dict[str, Any] = content_of(table(rows()))


def test_every_picture_is_written_as_png_svg_and_table(tmp_path: Path) -> None:
    written = write_figures(compare(table(rows()), None), CONTENT, tmp_path / "figures", lambda path: None)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == set(written)
    pictures = {Path(name).stem for name in written if name.endswith(".png")}
    assert {"grid-separate-fusion", "effects-separate-fusion", "graph-published-distance-separate-fusion"} <= pictures
    for name in pictures:
        assert f"{name}.svg" in written
        assert f"{name}.csv" in written or {f"{name}-targets.csv", f"{name}-edges.csv"} <= set(written)
    grid = pl.read_csv(tmp_path / "figures" / "grid-separate-fusion.csv")
    assert grid.height == len(rows()) and grid["is_best"].sum() == 3


def test_places_of_targets_are_the_same_again_and_tied_targets_are_near() -> None:
    ties = {"one": [0, 0, 1, 3, 3, 4], "other": [1, 2, 2, 4, 5, 5]}
    places = find_places(**ties, num_targets=6)
    assert places == find_places(**ties, num_targets=6)
    assert max(abs(value) for place in places for value in place) == pytest.approx(1.0)

    def apart(one: int, other: int) -> float:
        return float(abs(complex(*places[one]) - complex(*places[other])))

    assert apart(0, 1) < apart(0, 3) and apart(4, 5) < apart(4, 2)


def test_a_graph_shows_the_share_of_edges_that_was_published_and_every_target() -> None:
    edges = CONTENT["edges"][0]
    graph = lay_out(CONTENT, edges, CONTENT["nodes"][0])
    assert graph.edges.height == round(len(edges["one"]) * 125 / 300)
    assert graph.targets["target"].to_list() == [target["name"] for target in CONTENT["targets"]]
    svg = to_svg(draw_graph(graph, "$ and <")).decode()
    assert "age" in svg and svg == to_svg(draw_graph(graph, "$ and <")).decode()
