"""Tables for people: columns without lines between them, for terminals of any width."""

from collections.abc import Collection, Iterable, Sequence

from rich.table import Table
from rich.text import Text

NARROWEST = 6
"""Characters of a folded column. A terminal that cannot hold all columns like that breaks the lines itself."""


def plain_table(
    titles: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    whole: Collection[str] = (),
    right: Collection[str] = (),
) -> Table:
    """Return a table that loses nothing on a narrow terminal: long cells are folded.

    Parameters
    ----------
    rows
        Cells as they are to be seen: brackets are no markup.
    whole
        Columns that are never folded, because the next command needs what they say.
    right
        Columns of numbers, aligned at their ends.
    """
    table = Table(box=None, pad_edge=False)
    cells = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    for index, title in enumerate(titles):
        longest = max((row[index].cell_len for row in cells), default=0)
        table.add_column(
            Text(title),
            overflow="fold",
            min_width=longest if title in whole else min(longest, NARROWEST),
            justify="right" if title in right else "left",
        )
    for row in cells:
        table.add_row(*row)
    return table
