"""UK Biobank's Research Analysis Platform as it is mounted: archives by modality and first digits."""

from pathlib import Path

from mmdata.sources.volume_files import VOLUME_FILES
from mmdata.synth.bulk import archive_files, item_name, text_files
from mmdata.synth.drawing import DrawnVisit
from mmdata.synth.plan import ReleasePlan

IMAGING = Path("Bulk", "Brain MRI")
_FOLDERS = {str(files.ukb.field): files.ukb.folder.replace("_", " ") for files in VOLUME_FILES.values()}
"""Of volumes, by field."""
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


def _write(root: Path, drawn: DrawnVisit, folder: str, name: str, content: bytes) -> None:
    path = root / IMAGING / folder / str(drawn.eid)[:2] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
