"""The figures of a report for a paper: every picture as PNG and SVG, with the table that it is drawn of as csv."""

import base64
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbase.files import SHARED_MODE, make_directory, write_bytes
from mmstudy.comparison.compare import Comparison
from mmstudy.comparison.drawing.pictures import draw_pictures, series_name
from mmstudy.comparison.files import to_csv
from mmstudy.report.beside_picture import draw_beside_pictures
from mmstudy.report.community_picture import draw_communities, lay_out_communities
from mmstudy.report.data_pictures import draw_data_pictures
from mmstudy.report.edges import SCORE
from mmstudy.report.graph_picture import DrawnGraph, draw_graph, lay_out
from mmtrain.drawing.figures import to_png, to_svg
from mmtrain.errors import TrainError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Content = Mapping[str, Any]
_NAMED = 3
"""Files at most that an error names."""
_FORMS = (".png", ".svg", ".csv")


def make_figures(comparison: Comparison, content: Content) -> dict[str, bytes]:
    """Return the figures, each by the name of its file.

    A graph, and the picture of communities, have two tables, of targets and of edges. Means of images are PNG files
    alone.

    Parameters
    ----------
    content
        Made of the comparison.
    """
    return dict(_files(comparison, content))


def require_own_folder(folder: Path, names: Collection[str]) -> None:
    """Refuse a folder whose other pictures and tables could be taken for figures of this report.

    Parameters
    ----------
    names
        Of the report's own figures.

    Raises
    ------
    TrainError
        There are some: of an earlier report, or somebody's own. None of them is removed.
    """
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    others = [path.name for path in there if path.suffix in _FORMS and path.name not in names and not path.is_dir()]
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        raise TrainError(
            f"{folder} holds {', '.join(others[:_NAMED])}{more}, which this report does not write. Beside its figures "
            "that could be taken for one of them.",
            "Move it away, remove it, or give another --output.",
        )


def write_figures(figures: Mapping[str, bytes], folder: Path, record: Callable[[Path], None]) -> None:
    """Write figures into a folder.

    Parameters
    ----------
    figures
        Of `make_figures`.
    record
        Called with each file before it is written.
    """
    make_directory(folder)
    for name, data in figures.items():
        record(folder / name)
        write_bytes(folder / name, data, mode=SHARED_MODE)


def _files(comparison: Comparison, content: Content) -> Iterator[tuple[str, bytes]]:
    for picture in (*draw_pictures(comparison), *draw_data_pictures(content), *draw_beside_pictures(content)):
        yield from _drawn(picture.name, picture.figure)
        yield f"{picture.name}.csv", to_csv(picture.table)
    for name, title, graph in _graphs(content):
        yield from _drawn(name, draw_graph(graph, title))
        yield f"{name}-targets.csv", to_csv(graph.targets)
        yield f"{name}-edges.csv", to_csv(graph.edges)
    if content["communities"] is not None:
        drawn = lay_out_communities(content)
        yield from _drawn("communities", draw_communities(drawn))
        yield "communities-targets.csv", to_csv(drawn.targets)
        yield "communities-edges.csv", to_csv(drawn.edges)
    for image in content.get("data", {}).get("images", ()):
        yield f"mean-{image['name']}.png", base64.b64decode(image["png"])


def _drawn(name: str, figure: "Figure") -> Iterator[tuple[str, bytes]]:
    yield f"{name}.png", to_png(figure)
    yield f"{name}.svg", to_svg(figure)


def _graphs(content: Content) -> Iterator[tuple[str, str, DrawnGraph]]:
    """Yield name, title and graph of each edge measure that ties two targets at least."""
    for edges in content["edges"]:
        if not edges["one"]:
            continue
        series = edges["series"]
        sizes = _sizes(content, series)
        name = f"graph-{edges['name'].replace('_', '-')}"
        if series is None:
            yield name, "labels", lay_out(content, edges, sizes)
        else:
            of = content["series"][series]
            yield f"{name}-{series_name(of['method'], of['network'])}", of["title"], lay_out(content, edges, sizes)


def _sizes(content: Content, series: int | None) -> Mapping[str, Any]:
    """Return the balanced accuracy of the best sets of a series, or of the first."""
    nodes = [node for node in content["nodes"] if node["name"] == f"best_{SCORE}"]
    found: Mapping[str, Any] = next((node for node in nodes if node["series"] == series), nodes[0])
    return found
