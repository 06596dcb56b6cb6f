"""The communities of targets as a picture: a tree from coarse to fine, beside a map of how strong every tie is.

The lines of the map are the leaves of the tree, and its columns come in the same order. Shades are of ranks, from the
weakest tie to the strongest: strengths of some measures differ so much that a few would leave the others pale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from mmstudy.comparison.drawing.grid import shades
from mmstudy.comparison.drawing.sheet import FONT_POINTS, new_sheet
from mmstudy.report.communities import edges_of_communities
from mmstudy.report.graph_picture import LOOKS, edge_table
from mmstudy.report.nodes import STRENGTH
from mmtrain.drawing.figures import GREY, INK, ORANGE
from mmtrain.metrics.metric import Values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVEL = "level_"
_CELL, _STEP, _LABELS, _HEAD, _FOOT, _MARGIN = 0.2, 0.42, 1.45, 1.0, 1.35, 0.25
"""In inches: edge of a cell of the map, a level of the tree, room for names, above, below, and at both sides."""
_NARROWEST = 7.2
_TOLD = "dark: strong ties, by rank      framed: communities      white: not known"
_SAME = "#e3e6ea"
"""Of a target and itself."""
_WIDTHS = (1.8, 0.9)
"""In points: frames of the coarsest communities, and of all others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnCommunities:
    """Communities with everything that is drawn of them."""

    targets: pl.DataFrame
    """target, domain, and the number of its community on each level, level_1 being the coarsest; in drawn order."""
    edges: pl.DataFrame
    """`edge_table` of every pair."""
    edge_title: str
    method: str


def lay_out_communities(content: Mapping[str, Any]) -> DrawnCommunities:
    """Return the communities of a report that has some."""
    communities, targets = content["communities"], content["targets"]
    order = communities["order"]
    edges = edges_of_communities(content)
    return DrawnCommunities(
        targets=pl.DataFrame(
            {
                "target": [targets[place]["name"] for place in order],
                "domain": [content["domains"][targets[place]["domain"]] for place in order],
                **{
                    f"{LEVEL}{number}": [level[place] + 1 for place in order]
                    for number, level in enumerate(communities["levels"], start=1)
                },
            }
        ),
        edges=edge_table(content, edges),
        edge_title=edges["title"],
        method=communities["method"],
    )


def draw_communities(drawn: DrawnCommunities) -> "Figure":
    """Draw the tree and the map."""
    levels_LT = [column.to_list() for column in drawn.targets.select(f"^{LEVEL}.*$")]
    num, tree = drawn.targets.height, _STEP * (len(levels_LT) + 1)
    edge = _CELL * num
    width, height = max(_NARROWEST, tree + _LABELS + edge + 2 * _MARGIN), _HEAD + edge + _FOOT
    with new_sheet(width, height, "How targets hang together", drawn.method) as sheet:
        sheet.write(_TOLD, 0.66, fontsize=FONT_POINTS, color=GREY)
        axes = sheet.axes(_MARGIN, _FOOT, tree, edge)
        _draw_tree(axes, levels_LT, drawn.targets["domain"].to_list())
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.2 / edge), frameon=False, markerscale=0.9)
        _draw_map(sheet.axes(_MARGIN + tree + _LABELS, _FOOT, edge, edge), drawn, levels_LT)
    return sheet.figure


def _draw_tree(axes: Any, levels_LT: Sequence[Sequence[int]], domains: Sequence[str]) -> None:
    """Draw the tree from left to right: all targets, communities from coarse to fine, single targets."""
    num = len(domains)
    lines_LT = [[0] * num, *levels_LT, list(range(num))]
    middles = [_middles(level) for level in lines_LT]
    for depth, (above, below) in enumerate(pairwise(lines_LT)):
        for parent, child in sorted(set(zip(above, below, strict=True))):
            start, end = middles[depth][parent], middles[depth + 1][child]
            axes.plot((depth, depth, depth + 1), (start, end, end), color=GREY, linewidth=0.9, zorder=1)
    for number, domain in enumerate(dict.fromkeys(domains)):
        colour, form = LOOKS[number % len(LOOKS)]
        lines = [line for line, of in enumerate(domains) if of == domain]
        axes.scatter(
            [len(lines_LT) - 1] * len(lines), lines, s=26, c=colour, marker=form, label=domain, zorder=2, clip_on=False
        )
    axes.set(xlim=(-0.1, len(lines_LT) - 1), ylim=(num - 0.5, -0.5))
    axes.set_axis_off()


def _draw_map(axes: Any, drawn: DrawnCommunities, levels_LT: Sequence[Sequence[int]]) -> None:
    from matplotlib.patches import Rectangle

    names = [name.replace("_", " ") for name in drawn.targets["target"]]
    axes.set_facecolor("white")
    axes.imshow(_shares(drawn), cmap=shades(), vmin=0, vmax=1, interpolation="nearest")
    for place in range(len(names)):
        axes.add_patch(Rectangle((place - 0.5, place - 0.5), 1, 1, facecolor=_SAME, edgecolor="none"))
    for number, level in enumerate(levels_LT):
        for community in set(level):
            first, size = level.index(community), level.count(community)
            width = _WIDTHS[min(number, 1)]
            frame = Rectangle((first - 0.5, first - 0.5), size, size, fill=False, edgecolor=ORANGE, linewidth=width)
            axes.add_patch(frame).set(zorder=3, clip_on=False)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=FONT_POINTS, parse_math=False)
    axes.set_yticks(range(len(names)), names, fontsize=FONT_POINTS, parse_math=False)
    axes.tick_params(length=0, labelcolor=INK, pad=3)
    axes.spines[:].set_visible(False)
    axes.set_title(drawn.edge_title, loc="left", fontsize=FONT_POINTS, color=INK, pad=4)


def _middles(level: Sequence[int]) -> dict[int, float]:
    """Return the line in the middle of each community, whose targets lie beside each other."""
    return {community: level.index(community) + (level.count(community) - 1) / 2 for community in set(level)}


def _shares(drawn: DrawnCommunities) -> Values:
    """Return how strong each tie is among all, from 0 to 1, shape (T, T); NaN where it is not known."""
    lines = {name: line for line, name in enumerate(drawn.targets["target"])}
    ranks = drawn.edges[STRENGTH].rank("dense")
    spread = max(1, ranks.n_unique() - 1)
    shares_TT = np.full((len(lines), len(lines)), np.nan)
    for one, other, rank in zip(drawn.edges["one"], drawn.edges["other"], ranks, strict=True):
        shares_TT[lines[one], lines[other]] = shares_TT[lines[other], lines[one]] = (rank - 1) / spread
    return shares_TT
