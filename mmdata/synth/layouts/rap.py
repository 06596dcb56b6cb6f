"""UK Biobank's Research Analysis Platform as it is mounted: archives by modality and first digits, and a table export.

The table holds raw codes. A field that is asked once has no instance in its header; each answer of a multi-select has a
column of its own.
"""

import csv
from pathlib import Path

from mmdata.synth.bulk import archive_files, item_name, text_files
from mmdata.synth.drawing import DrawnVisit
from mmdata.synth.phenotype import NUM_SLOTS
from mmdata.synth.plan import DWI_FIELD, FLAIR_FIELD, T1_FIELD, ReleasePlan
from mmdata.synth.table import asked_once, column_names, draw_rows

TABLE_NAME = "participant.csv"
IMAGING = Path("Bulk", "Brain MRI")
_FOLDERS = {T1_FIELD: "T1", FLAIR_FIELD: "T2 FLAIR", DWI_FIELD: "dMRI"}
_TIMESERIES_FOLDER, _EDGES_FOLDER = "Connectomes", "rfMRI"


def prepare(root: Path, seed: int, plan: ReleasePlan) -> None:
    """Make the folder above the modalities'."""
    (root / IMAGING).mkdir(parents=True)


def write_visit(root: Path, drawn: DrawnVisit) -> None:
    """Write ``Bulk/Brain MRI/MODALITY/<first 2 digits of the eid>/EID_FIELD_INSTANCE_0.zip`` and ``.txt``."""
    for field, content in archive_files(drawn):
        _write(root, drawn, _FOLDERS.get(field, _TIMESERIES_FOLDER), f"{item_name(drawn, field)}.zip", content)
    for field, content in text_files(drawn):
        _write(root, drawn, _EDGES_FOLDER, f"{item_name(drawn, field)}.txt", content)


def write_table(root: Path, seed: int, plan: ReleasePlan) -> int:
    """Write the table as the platform's table exporter does when it is asked for raw codes."""
    columns = column_names()
    rows = [[row.eid, *(row.cells.get(column, "") for column in columns)] for row in draw_rows(seed, plan)]
    with (root / TABLE_NAME).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["participant.eid", *map(_header, columns)])
        writer.writerows(rows)
    return len(rows)


def _write(root: Path, drawn: DrawnVisit, folder: str, name: str, content: bytes) -> None:
    path = root / IMAGING / folder / str(drawn.eid)[:2] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _header(column: str) -> str:
    """Return the platform's name of a column of ukbconv's.

    >>> _header("31-0.0"), _header("21003-2.0"), _header("20002-0.3")
    ('participant.p31', 'participant.p21003_i2', 'participant.p20002_i0_a3')
    """
    field, place = column.split("-")
    instance, slot = place.split(".")
    header = f"participant.p{field}"
    if int(field) not in asked_once():
        header += f"_i{instance}"
    return header + f"_a{slot}" if int(field) in NUM_SLOTS else header
