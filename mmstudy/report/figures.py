"""The figures of a report for a paper: every picture as PNG and SVG, with the table that it is drawn of as csv."""

import base64
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbase.files import SHARED_MODE, make_directory, write_bytes
from mmstudy.comparison.compare import Comparison
from mmstudy.comparison.drawing.pictures import draw_pictures, series_name
from mmstudy.comparison.files import to_csv
from mmstudy.report.beside_picture import draw_beside_pictures
from mmstudy.report.data_pictures import draw_data_pictures
from mmstudy.report.edges import SCORE
from mmstudy.report.graph_picture import DrawnGraph, draw_graph, lay_out
from mmtrain.drawing.figures import to_png, to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Content = Mapping[str, Any]


def write_figures(comparison: Comparison, content: Content, folder: Path, record: Callable[[Path], None]) -> list[str]:
    """Write the figures into a folder, and return the names of the files.

    A graph has two tables, of its targets and of its edges. Means of images are PNG files alone.

    Parameters
    ----------
    content
        Made of the comparison.
    record
        Called with each file before it is written.
    """
    make_directory(folder)
    written = []
    for name, data in _files(comparison, content):
        record(folder / name)
        write_bytes(folder / name, data, mode=SHARED_MODE)
        written.append(name)
    return written


def _files(comparison: Comparison, content: Content) -> Iterator[tuple[str, bytes]]:
    for picture in (*draw_pictures(comparison), *draw_data_pictures(content), *draw_beside_pictures(content)):
        yield from _forms(picture.name, picture.figure)
        yield f"{picture.name}.csv", to_csv(picture.table)
    for name, title, graph in _graphs(content):
        yield from _forms(name, draw_graph(graph, title))
        yield f"{name}-targets.csv", to_csv(graph.targets)
        yield f"{name}-edges.csv", to_csv(graph.edges)
    for image in content.get("data", {}).get("images", ()):
        yield f"mean-{image['name']}.png", base64.b64decode(image["png"])


def _forms(name: str, figure: "Figure") -> Iterator[tuple[str, bytes]]:
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
