"""UK Biobank's archives unpacked, each to a folder of its name."""

from pathlib import Path

from mmdata.synth.bulk import archive_members, item_name, text_files
from mmdata.synth.drawing import DrawnVisit
from mmdata.synth.layouts.zips import BULK


def write_visit(root: Path, drawn: DrawnVisit) -> None:
    """Write ``bulk/EID_FIELD_INSTANCE_0/`` with the archive's members, and ``.txt`` files."""
    for field, members in archive_members(drawn):
        for name, content in members.items():
            path = root / BULK / item_name(drawn, field) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    for field, content in text_files(drawn):
        (root / BULK / f"{item_name(drawn, field)}.txt").write_bytes(content)
