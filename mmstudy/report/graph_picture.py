"""The graph of targets as a picture: targets near those that they are strongly tied to.

Places come from a force layout with a fixed seed, in which a tie pulls by its rank among those shown: strengths of some
measures differ so much that a few would leave no room for the others. Gravity keeps parts that are not tied to each
other on one sheet. Places have no other meaning.

Source: Jacomy, Venturini, Heymann and Bastian 2014, ForceAtlas2, PLoS ONE 9, e98679.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import polars as pl

from mmstudy.comparison.drawing.sheet import FONT_POINTS, new_sheet
from mmstudy.report.communities import SEED
from mmstudy.report.nodes import STRENGTH
from mmtrain.drawing.figures import BLUE, GREY, INK, ORANGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHARE = 125 / 300
"""Of all pairs of targets: the strongest so many edges are drawn, as on the published page."""
_WIDTH, _HEIGHT, _HEAD, _FOOT = 7.2, 7.0, 0.65, 0.35
"""In inches."""
_ROUNDS, _REPULSION, _GRAVITY = 500, 2.0, 15.0
LOOKS = ((BLUE, "o"), (ORANGE, "s"), ("#3f8f5f", "^"), ("#8a5fa8", "D"), ("#7a7f88", "v"), ("#b3364a", "P"))
"""Colour and form of the targets of each domain: forms say the same in a print in grey."""
_SMALLEST, _LARGEST = 40.0, 330.0
"""Areas of targets in square points."""
_THIN, _THICK = 0.3, 2.2
"""Widths of edges in points."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnGraph:
    """A graph with everything that is drawn of it."""

    targets: pl.DataFrame
    """target, domain, x, y, size (the node measure; null where it is not known)."""
    edges: pl.DataFrame
    """Of `edge_table`."""
    edge_title: str
    size_title: str


def lay_out(content: Mapping[str, Any], edges: Mapping[str, Any], sizes: Mapping[str, Any]) -> DrawnGraph:
    """Return the graph of one edge measure.

    Parameters
    ----------
    edges, sizes
        An entry of the content's `edges`, and one of its `nodes`.
    """
    names = [target["name"] for target in content["targets"]]
    num_shown = max(1, int(SHARE * len(edges["one"]) + 0.5))  # as the page at first
    places = find_places(edges["one"][:num_shown], edges["other"][:num_shown], len(names))
    return DrawnGraph(
        targets=pl.DataFrame(
            {
                "target": names,
                "domain": [content["domains"][target["domain"]] for target in content["targets"]],
                "x": [round(float(x), 4) for x, _ in places],
                "y": [round(float(y), 4) for _, y in places],
                "size": pl.Series(sizes["values"], dtype=pl.Float64),
            }
        ),
        edges=edge_table(content, edges).head(num_shown),
        edge_title=edges["title"],
        size_title=sizes["title"],
    )


def edge_table(content: Mapping[str, Any], edges: Mapping[str, Any]) -> pl.DataFrame:
    """Return edges by the names of their targets, the strongest first: one, other, strength, equal_profiles.

    The strength of equal profiles is that of the strongest other pair: see `mmstudy.report.edges`.
    """
    names = [target["name"] for target in content["targets"]]
    return pl.DataFrame(
        {
            "one": pl.Series([names[place] for place in edges["one"]], dtype=pl.String),
            "other": pl.Series([names[place] for place in edges["other"]], dtype=pl.String),
            STRENGTH: pl.Series(edges[STRENGTH], dtype=pl.Float64),
            "equal_profiles": pl.Series(
                [rank < edges["num_equal"] for rank in range(len(edges["one"]))], dtype=pl.Boolean
            ),
        }
    )


def find_places(one: Sequence[int], other: Sequence[int], num_targets: int) -> list[tuple[float, float]]:
    """Return the place of each target, within a square from −1 to 1; equal edges give equal places.

    Parameters
    ----------
    one, other
        Both ends of edges, the strongest first.
    """
    graph = nx.Graph()
    graph.add_nodes_from(range(num_targets))
    for rank, ends in enumerate(zip(one, other, strict=True)):
        graph.add_edge(*ends, weight=1 - rank / len(one))
    found = nx.forceatlas2_layout(
        graph, max_iter=_ROUNDS, scaling_ratio=_REPULSION, gravity=_GRAVITY, weight="weight", seed=SEED
    )
    places_T2 = np.array([found[place] for place in range(num_targets)])
    centred_T2 = places_T2 - (places_T2.max(axis=0) + places_T2.min(axis=0)) / 2
    return [(float(x), float(y)) for x, y in centred_T2 / (np.abs(centred_T2).max() or 1.0)]


def draw_graph(graph: DrawnGraph, title: str) -> "Figure":
    """Draw a graph.

    Parameters
    ----------
    title
        Which models these are.
    """
    told = f"edges: {graph.edges.height} strongest, {graph.edge_title}; size: {graph.size_title}"
    with new_sheet(_WIDTH, _HEIGHT, title, told) as sheet:
        axes = sheet.axes(0.1, _FOOT, _WIDTH - 0.2, _HEIGHT - _HEAD - _FOOT)
        axes.set_axis_off()
        _draw_edges(axes, graph)
        _draw_targets(axes, graph)
        axes.margins(0.12)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=len(LOOKS), frameon=False, markerscale=0.7)
    return sheet.figure


def _draw_edges(axes: Any, graph: DrawnGraph) -> None:
    places = {name: (x, y) for name, x, y in graph.targets.select("target", "x", "y").iter_rows()}
    widths = np.linspace(_THICK, _THIN, max(1, graph.edges.height))
    for (one, other), width in zip(graph.edges.select("one", "other").iter_rows(), widths, strict=False):
        (x, y), (to_x, to_y) = places[one], places[other]
        axes.plot((x, to_x), (y, to_y), color=GREY, linewidth=width, alpha=0.45, zorder=1, solid_capstyle="round")


def _draw_targets(axes: Any, graph: DrawnGraph) -> None:
    areas = _areas(graph.targets["size"].to_list())
    for number, domain in enumerate(graph.targets["domain"].unique(maintain_order=True)):
        colour, form = LOOKS[number % len(LOOKS)]
        of = [place for place, name in enumerate(graph.targets["domain"]) if name == domain]
        x, y = (graph.targets[axis].gather(of).to_list() for axis in ("x", "y"))
        axes.scatter(x, y, s=[areas[i] for i in of], c=colour, marker=form, label=domain, edgecolors="white", zorder=2)
    for name, x, y in graph.targets.select("target", "x", "y").iter_rows():
        axes.annotate(
            name.replace("_", " "),
            (x, y),
            (0, 9),
            textcoords="offset points",
            ha="center",
            color=INK,
            fontsize=FONT_POINTS,
            bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.4},
            zorder=3,
            parse_math=False,
        )


def _areas(sizes: Sequence[float | None]) -> list[float]:
    """Return areas that grow evenly from the smallest known size to the largest; unknown ones are the smallest."""
    known = [size for size in sizes if size is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    span = high - low or 1.0
    return [_SMALLEST + (_LARGEST - _SMALLEST) * (0.0 if size is None else (size - low) / span) for size in sizes]
