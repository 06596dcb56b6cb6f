"""Measures of targets: how well each is predicted, and how central it is among the others.

Eigenvector centrality: a target is as central as the targets that it is tied to, each weighted by how strong the tie
is. It is the eigenvector of the largest eigenvalue of the matrix of strengths, of length 1. Ties of negative strength
are left out, and so are targets without a way to most of the others: they have none.

Source: Bonacich 1987, American Journal of Sociology 92, 1170-1182.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import networkx as nx

from mmstudy.report.edges import SCORE
from mmstudy.report.models import Columns, shortened
from mmstudy.report.names import Names

STRENGTH = "strength"
_MAX_STEPS = 10_000
_TOLERANCE = 1e-9


def nodes_of(models: Columns, best: Columns, edges: Sequence[Mapping[str, Any]], names: Names) -> list[dict[str, Any]]:
    """Return every measure of targets, with a value for each target; None where it is not known."""
    found = [measure for place in names.compared_series for measure in _scores(models, best, names, place)]
    for of_measure in edges:
        found.append(
            {
                "name": f"centrality_{of_measure['name']}",
                "title": f"centrality by {of_measure['title']}",
                "told": "Eigenvector centrality: how strongly the target is tied to others that are strongly tied "
                f"themselves. Ties: {of_measure['title']}.",
                "series": of_measure["series"],
                "values": [shortened(value) for value in centralities(of_measure, len(names.targets))],
            }
        )
    return found


def graph_of(edges: Mapping[str, Any]) -> nx.Graph:
    """Return the graph of targets, by their places, with the edges of positive strength.

    Parameters
    ----------
    edges
        Columns `one`, `other` and `strength`.
    """
    graph = nx.Graph()
    for one, other, strength in zip(edges["one"], edges["other"], edges[STRENGTH], strict=True):
        if strength > 0:
            graph.add_edge(one, other, **{STRENGTH: strength})
    return graph


def centralities(edges: Mapping[str, Any], num_targets: int) -> list[float | None]:
    """Return the eigenvector centrality of each target within the largest part that hangs together.

    >>> path = {"one": [0, 1], "other": [1, 2], "strength": [2.0, 2.0]}
    >>> [round(value, 4) for value in centralities(path, 3)]
    [0.5, 0.7071, 0.5]
    """
    whole = graph_of(edges)
    if not whole:
        return [None] * num_targets
    part = whole.subgraph(max(nx.connected_components(whole), key=len)).copy()
    largest = max(strength for _, _, strength in part.edges(data=STRENGTH))
    for _, _, values in part.edges(data=True):
        values[STRENGTH] /= largest  # steps of the iteration are as large as the strengths
    found = nx.eigenvector_centrality(part, max_iter=_MAX_STEPS, tol=_TOLERANCE, weight=STRENGTH)
    return [found.get(place) for place in range(num_targets)]


def _scores(models: Columns, best: Columns, names: Names, series: int) -> Iterator[dict[str, Any]]:
    """Yield the measures that are scores of models of one series."""
    of_best = {models["target"][model]: model for model in best["model"] if models["series"][model] == series}
    for name, title, told, column in (
        ("best_score", "score of the best set", "R² or balanced accuracy on test, of the best set.", "score"),
        (
            f"best_{SCORE}",
            "balanced accuracy of the best set",
            "On test, of the best set; of a continuous target, after a split at the training median.",
            SCORE,
        ),
    ):
        values = [models[column][of_best[place]] if place in of_best else None for place in range(len(names.targets))]
        yield {"name": name, "title": title, "told": told, "series": series, "values": values}
    yield {
        "name": f"highest_{SCORE}",
        "title": "highest balanced accuracy, as published",
        "told": "The largest balanced accuracy on test of all sets. It is chosen by the score that is shown, so it is "
        "too good.",
        "series": series,
        "values": [_highest(models, place, series) for place in range(len(names.targets))],
    }


def _highest(models: Columns, target: int, series: int) -> float | None:
    scores = zip(models["target"], models["series"], models[SCORE], strict=True)
    return max((score for of, by, score in scores if (of, by) == (target, series) and score is not None), default=None)
