"""The figures of a report: every picture with its table."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mmstudy.comparison.compare import compare
from mmstudy.comparison.drawing.sheet import new_sheet
from mmstudy.report.communities import edges_of_communities
from mmstudy.report.community_picture import draw_communities, lay_out_communities
from mmstudy.report.figures import make_figures, require_own_folder, write_figures
from mmstudy.report.graph_picture import draw_graph, find_places, lay_out
from mmtrain.drawing.figures import to_svg
from mmtrain.errors import TrainError
from tests.mmstudy.comparison.made_up import table
from tests.mmstudy.report.test_content import content_of, rows

CONTENT: dict[str, Any] = content_of(table(rows()))


def test_every_picture_is_written_as_png_svg_and_table(tmp_path: Path) -> None:
    written = make_figures(compare(table(rows()), None), CONTENT)
    write_figures(written, tmp_path / "figures", lambda path: None)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == written.keys()
    pictures = {Path(name).stem for name in written if name.endswith(".png")}
    assert {"grid-separate-fusion", "effects-separate-fusion", "graph-published-distance-separate-fusion"} <= pictures
    for name in pictures:
        assert f"{name}.svg" in written
        assert f"{name}.csv" in written or {f"{name}-targets.csv", f"{name}-edges.csv"} <= written.keys()
    grid = pl.read_csv(tmp_path / "figures" / "grid-separate-fusion.csv")
    assert grid.height == len(rows()) and grid["is_best"].sum() == 3


def test_communities_are_drawn_with_every_target_once_and_every_tie(tmp_path: Path) -> None:
    drawn = lay_out_communities(CONTENT)
    assert sorted(drawn.targets["target"]) == sorted(target["name"] for target in CONTENT["targets"])
    for column in drawn.targets.select("^level_.*$"):
        changes = (column != column.shift()).sum()
        assert changes == column.n_unique() - 1  # those of a community lie beside each other
    edges = edges_of_communities(CONTENT)
    assert drawn.edges.height == len(edges["one"]) and drawn.edges["strength"].to_list() == edges["strength"]
    svg = to_svg(draw_communities(drawn))
    assert all(target["name"].encode() in svg for target in CONTENT["targets"])
    assert svg == to_svg(draw_communities(drawn))


def test_a_folder_with_other_pictures_or_tables_is_refused(tmp_path: Path) -> None:
    for name in ("grid.png", "grid.csv", "optimism.svg", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "more.png").mkdir()
    require_own_folder(tmp_path, ["grid.png", "grid.csv", "optimism.svg"])
    with pytest.raises(TrainError, match=r"holds grid\.csv, optimism\.svg, which this report does not write"):
        require_own_folder(tmp_path, ["grid.png"])
    require_own_folder(tmp_path / "not there", ["grid.png"])


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


def test_names_with_dollar_signs_are_words_and_no_formulas() -> None:
    title = r"a$\bad$ table"
    with new_sheet(4.0, 1.0, title, "told") as sheet:
        axes = sheet.axes(1.0, 0.1, 2.0, 0.4)
        axes.set_yticks([0], [title])
    drawn = to_svg(sheet.figure).decode()
    assert drawn.count(title) >= 2
