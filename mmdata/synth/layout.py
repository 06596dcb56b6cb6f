"""The layouts a release can have: the same participants, in the files that different sources come in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmdata.synth.drawing import DrawnVisit
from mmdata.synth.faults.participants import Shown
from mmdata.synth.layouts import bids, folder, rap, reference, trees, zips
from mmdata.synth.plan import ALL_FIELDS, EXTRA_FIELDS, GLASSER_FIELD, VOLUME_FIELDS, ReleasePlan
from mmdata.synth.table_form import TableForm

LayoutName = Literal["zips", "trees", "rap", "bids", "folder", "reference"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How a release is written; the functions are described in `mmdata.synth.layouts`."""

    prepare: Callable[[Path, int, ReleasePlan], None]
    write_visit: Callable[[Path, DrawnVisit], None]
    table: TableForm | Callable[[Path, int, ReleasePlan], int]
    """UK Biobank's table in this form, if no other is asked for; or what writes a table of the layout's own."""
    shown: Shown
    """What of the visits is written."""
    is_complete: bool = False
    """Whether every participant has everything, all of it whole."""


_ALL = frozenset((*ALL_FIELDS, *EXTRA_FIELDS))
_WITH_ARCHIVES = Shown(fields=_ALL, parts=frozenset(("image", "members", "archive")))
_WITH_MEMBERS = Shown(fields=_ALL, parts=frozenset(("image", "members")))
_WITH_IMAGES = Shown(fields=frozenset(VOLUME_FIELDS.values()), parts=frozenset(("image",)))
_ON_ONE_GRID = Shown(
    fields=frozenset((*VOLUME_FIELDS.values(), GLASSER_FIELD)), parts=frozenset(("image",)), has_repeats=False
)

LAYOUTS: dict[LayoutName, Layout] = {
    "zips": Layout(prepare=zips.prepare, write_visit=zips.write_visit, table="ukbconv-csv", shown=_WITH_ARCHIVES),
    "trees": Layout(prepare=zips.prepare, write_visit=trees.write_visit, table="ukbconv-csv", shown=_WITH_MEMBERS),
    "rap": Layout(prepare=rap.prepare, write_visit=rap.write_visit, table="rap", shown=_WITH_ARCHIVES),
    "bids": Layout(prepare=bids.prepare, write_visit=bids.write_visit, table=bids.write_table, shown=_WITH_IMAGES),
    "folder": Layout(
        prepare=folder.prepare, write_visit=folder.write_visit, table=folder.write_table, shown=_ON_ONE_GRID
    ),
    "reference": Layout(
        prepare=reference.prepare,
        write_visit=reference.write_visit,
        table=reference.write_table,
        shown=_ON_ONE_GRID,
        is_complete=True,
    ),
}
