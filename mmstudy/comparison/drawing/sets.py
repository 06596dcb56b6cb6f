"""Sets of inputs as marks below a picture: a line for each input, a dot where a set has it.

Thirty-two names of sets cannot be read side by side; dots can, and what two sets differ in is seen at once.
"""

from collections.abc import Sequence
from typing import Any

from catalog.fields import REFERENCE_BLOCKS
from mmbase.names import MODALITIES
from mmstudy.comparison.elements import elements_of
from mmstudy.sweep.grid import InputSet
from mmtrain.drawing.figures import GREY, INK

_FAINT = "#e3e6ea"
_DOT = 16
"""Area of a dot in square points."""


def elements_in_order(sets: Sequence[InputSet]) -> list[str]:
    """Return every input and group of some sets: modalities, groups as the reference orders them, then other groups."""
    found = {name for of in sets for name in elements_of(of.inputs, of.blocks)}
    blocks = dict.fromkeys(block for of in sets for block in of.blocks)
    return [name for name in dict.fromkeys((*MODALITIES, *REFERENCE_BLOCKS, *blocks)) if name in found]


def sort_sets(sets: Sequence[InputSet]) -> list[InputSet]:
    """Return sets with the smaller first, and of equal size those with the same imaging beside each other."""
    order = elements_in_order(sets)

    def place(of: InputSet) -> tuple[int, list[int]]:
        elements = elements_of(of.inputs, of.blocks)
        return len(elements), [number for number, name in enumerate(order) if name in elements]

    return sorted(sets, key=place)


def draw_sets(axes: Any, sets: Sequence[InputSet]) -> None:
    """Draw the dots of sets, one column for each, on axes that share their columns with the picture above."""
    elements = elements_in_order(sets)
    for line, name in enumerate(elements):
        has = [column for column, of in enumerate(sets) if name in elements_of(of.inputs, of.blocks)]
        has_not = [column for column in range(len(sets)) if column not in has]
        axes.scatter(has_not, [line] * len(has_not), s=_DOT, color=_FAINT, linewidths=0)
        axes.scatter(has, [line] * len(has), s=_DOT, color=INK, linewidths=0)
    axes.set_yticks(range(len(elements)), [title_of(name) for name in elements])
    axes.set(xlim=(-0.5, len(sets) - 0.5), ylim=(len(elements) - 0.5, -0.5), xticks=[])
    axes.tick_params(length=0, labelcolor=GREY)
    axes.spines[:].set_visible(False)


def title_of(element: str) -> str:
    """Return an input or a group of features as people read it.

    >>> title_of("t1"), title_of("serology")
    ('T1', 'serology')
    """
    return MODALITIES[element].title if element in MODALITIES else element
