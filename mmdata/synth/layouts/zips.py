"""UK Biobank's archives in one folder, as its own download tool leaves them."""

from pathlib import Path

from mmdata.synth.bulk import archive_files, item_name, text_files
from mmdata.synth.drawing import DrawnVisit
from mmdata.synth.plan import ReleasePlan

BULK = "bulk"


def prepare(root: Path, seed: int, plan: ReleasePlan) -> None:
    """Make the folder of the archives."""
    (root / BULK).mkdir()


def write_visit(root: Path, drawn: DrawnVisit) -> None:
    """Write ``bulk/EID_FIELD_INSTANCE_0.zip`` and ``.txt``."""
    for field, content in archive_files(drawn):
        (root / BULK / f"{item_name(drawn, field)}.zip").write_bytes(content)
    for field, content in text_files(drawn):
        (root / BULK / f"{item_name(drawn, field)}.txt").write_bytes(content)
