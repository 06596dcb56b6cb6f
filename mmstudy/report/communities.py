"""Which targets hang together: communities of the graph of targets, coarse ones made of finer ones.

Louvain's method puts each target with the neighbour that raises modularity most until none does, then does the same
with the communities so made. Each round is a level. The order in which targets are looked at is drawn by a fixed seed.

Source: Blondel, Guillaume, Lambiotte and Lefebvre 2008, J. Stat. Mech. P10008.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import networkx as nx

from mmstudy.report.edges import CORRECTED_DISTANCE
from mmstudy.report.names import Names
from mmstudy.report.nodes import STRENGTH, graph_of

SEED = 1337
PREFERRED = ("mutual_information", CORRECTED_DISTANCE)
"""Edge measures by which targets are put together: the first that there is."""


def communities_of(edges: Sequence[Mapping[str, Any]], names: Names) -> dict[str, Any] | None:
    """Return the communities of targets, from coarse to fine; None where no two targets are tied."""
    for name in PREFERRED:
        for of_measure in edges:
            if of_measure["name"] == name and of_measure["one"]:
                levels = find_levels(of_measure, len(names.targets))
                return {
                    "method": f"Louvain's method (networkx, modularity, seed {SEED}), the coarsest level first, on the "
                    f"edges: {of_measure['title']}.",
                    "edges": name,
                    "series": of_measure["series"],
                    "levels": levels,
                    "order": in_order(levels),
                }
    return None


def edges_of_communities(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the edges by which the communities of a report's content were found."""
    of = content["communities"]
    key = (of["edges"], of["series"])
    found: Mapping[str, Any] = next(edges for edges in content["edges"] if (edges["name"], edges["series"]) == key)
    return found


def in_order(levels: Sequence[Sequence[int]]) -> list[int]:
    """Return the targets so that those of a community lie beside each other on every level.

    >>> in_order([[0, 1, 0, 1], [0, 1, 2, 1]])
    [0, 2, 1, 3]
    """
    return sorted(range(len(levels[0])), key=lambda place: [*(level[place] for level in levels), place])


def find_levels(edges: Mapping[str, Any], num_targets: int) -> list[list[int]]:
    """Return the community of each target on each level; communities count from 0 in the order of targets.

    >>> two_pairs = {"one": [0, 2, 1], "other": [1, 3, 2], "strength": [5.0, 5.0, 0.1]}
    >>> find_levels(two_pairs, 5)
    [[0, 0, 1, 1, 2]]
    """
    graph = graph_of(edges)
    graph.add_nodes_from(range(num_targets))
    levels = [_numbered(part, num_targets) for part in nx.community.louvain_partitions(graph, STRENGTH, seed=SEED)]
    return [level for place, level in enumerate(reversed(levels)) if level not in list(reversed(levels))[:place]]


def _numbered(communities: Collection[set[int]], num_targets: int) -> list[int]:
    in_order = sorted(communities, key=min)
    return [next(number for number, members in enumerate(in_order) if place in members) for place in range(num_targets)]
