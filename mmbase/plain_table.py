"""Tables for people: columns without lines between them, for terminals of any width."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from mmbase.printable import printable

NARROWEST = 6
"""Characters of a folded column. A terminal that cannot hold all columns like that breaks the lines itself."""
_GAP = 2
"""Blanks between columns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainTable:
    """A table that loses nothing on a narrow terminal: long cells are folded.

    Columns that can be spared are left out where there is no room for them, and named below.
    """

    titles: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    whole: frozenset[str]
    right: frozenset[str]
    spared: tuple[str, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render for the width there is."""
        shown, left_out = self._fitted(options.max_width)
        table = Table(box=None, pad_edge=False)
        for index in shown:
            title = self.titles[index]
            width = self._width(index)
            table.add_column(
                Text(title),
                overflow="fold",
                min_width=width if title in self.whole else min(width, NARROWEST),
                justify="right" if title in self.right else "left",
            )
        for row in self.rows:
            table.add_row(*(row[index] for index in shown))
        yield table
        if left_out:
            yield Text(f"Left out on so narrow a terminal: {', '.join(left_out)}.")

    def _fitted(self, max_width: int) -> tuple[list[int], list[str]]:
        """Return the columns to show, and the titles of those that there is no room for."""
        shown, left_out = list(range(len(self.titles))), []
        for title in self.spared:
            if sum(map(self._width, shown)) + _GAP * (len(shown) - 1) <= max_width:
                break
            shown.remove(self.titles.index(title))
            left_out.append(title)
        return shown, left_out

    def _width(self, index: int) -> int:
        words = self.titles[index].split()
        return max([*map(len, words), *(row[index].cell_len for row in self.rows)], default=0)


def plain_table(
    titles: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    whole: Collection[str] = (),
    right: Collection[str] = (),
    spared: Sequence[str] = (),
) -> PlainTable:
    """Return a table of cells as they are to be seen: brackets are no markup.

    Parameters
    ----------
    whole
        Columns that are never folded, because the next command needs what they say.
    right
        Columns of numbers, aligned at their ends.
    spared
        Columns that a narrow terminal may do without, the least needed first.
    """
    cells = tuple(tuple(Text(printable(cell)) if isinstance(cell, str) else cell for cell in row) for row in rows)
    return PlainTable(
        titles=tuple(map(printable, titles)),
        rows=cells,
        whole=frozenset(whole),
        right=frozenset(right),
        spared=tuple(spared),
    )
