"""The picture of a network: inputs, blocks, head and outputs, from above to below, as SVG in the page's own colours."""

from collections.abc import Sequence
from html import escape

from mmtrain.page.facts import Block, Branch, NetworkFacts

_MIN_BOX, _HIGH, _GAP = 124, 44, 26
"""Least width of a box, its height, and what is between two boxes above or beside each other, in pixels."""
_LETTER, _MARGIN = 7.0, 12
"""Width of a letter, rather too wide than too narrow, and what is free left and right of a text, in pixels."""


def draw_network(network: NetworkFacts) -> str:
    """Return the picture as an element of a page."""
    num_columns = max(1, len(network.branches))
    box = max([_MIN_BOX, *(_width_of(branch) for branch in network.branches)])
    column_width = box + _GAP / 2
    width = max(num_columns * column_width, _least_width([_words(network.head), _outputs(network.outputs)]))
    has_blocks = any(branch.block for branch in network.branches)
    rows = 4 if has_blocks else 3
    height = rows * _HIGH + (rows - 1) * _GAP + 4
    head_y, out_y = (rows - 2) * (_HIGH + _GAP) + 2, (rows - 1) * (_HIGH + _GAP) + 2
    parts: list[str] = []
    for column, branch in enumerate(network.branches):
        centre = width * (2 * column + 1) / (2 * num_columns)
        parts += _box(centre, 2, box, [branch.input_title, branch.size], "input")
        bottom = 2 + _HIGH
        if branch.block:
            parts.append(_arrow(centre, bottom, centre, bottom + _GAP))
            parts += _box(centre, bottom + _GAP, box, _words(branch.block), "block")
            bottom += _GAP + _HIGH
        parts.append(_arrow(centre, bottom, (centre + width / 2) / 2 if num_columns > 1 else centre, head_y))
    wide = width - _GAP / 2
    parts += _box(width / 2, head_y, wide, _words(network.head), "block")
    parts.append(_arrow(width / 2, head_y + _HIGH, width / 2, out_y))
    parts += _box(width / 2, out_y, wide, _outputs(network.outputs), "output")
    return (
        f'<svg class="network" viewBox="0 0 {width:g} {height}" style="max-width: {1.6 * width:.0f}px" role="img" '
        f'aria-label="{escape(describe(network))}">{"".join(parts)}</svg>'
    )


def describe(network: NetworkFacts) -> str:
    """Return the same in words."""
    ways = [
        f"{branch.input_title} ({branch.size})"
        + (f" through {' with '.join(_words(branch.block))}" if branch.block else "")
        for branch in network.branches
    ]
    return f"{'; '.join(ways)}; into {' with '.join(_words(network.head))}; out come {', '.join(network.outputs)}."


def _width_of(branch: Branch) -> float:
    """Return how wide the boxes of a branch must be for their texts."""
    blocks = [_words(branch.block)] if branch.block else []
    return _least_width([[branch.input_title, branch.size], *blocks])


def _least_width(boxes: Sequence[Sequence[str]]) -> float:
    """Return how wide boxes of equal width must be for their texts."""
    return max(len(line) for lines in boxes for line in lines) * _LETTER + 2 * _MARGIN


def _words(block: Block) -> list[str]:
    return [block.title, f"{block.num_parameters:,} parameters"]


def _outputs(outputs: Sequence[str]) -> list[str]:
    if len(outputs) <= 2:
        return list(outputs)
    return [f"{len(outputs)} targets", f"{outputs[0]}, {outputs[1]}, …"]


def _box(centre: float, top: float, width: float, lines: Sequence[str], role: str) -> list[str]:
    left = centre - width / 2
    box = f'<rect class="{role}" x="{left:g}" y="{top:g}" width="{width:g}" height="{_HIGH}" rx="6"/>'
    first = top + _HIGH / 2 + (4 if len(lines) == 1 else -3)
    texts = [
        f'<text class="{role}" x="{centre:g}" y="{first + 15 * place:g}">{escape(line)}</text>'
        for place, (role, line) in enumerate(zip(("name", "size"), lines, strict=False))
    ]
    return [box, *texts]


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line class="arrow" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2 - 5:g}"/>'
        f'<path class="tip" d="M{x2 - 4:g} {y2 - 7:g} L{x2 + 4:g} {y2 - 7:g} L{x2:g} {y2 - 1:g} Z"/>'
    )
