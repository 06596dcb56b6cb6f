"""Files that a command writes where the user says, and that show single participants.

Each is put on record before it is there. So a withdrawal can remove those in the study and name those elsewhere,
whatever a kill has left of them.
"""

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from catalog.database import open_catalog
from catalog.export.export import SUFFIXES, export_features
from catalog.export.files import require_writable
from catalog.samples import known_samples
from mmbase.files import draft_of
from mmdata.errors import StudyError
from mmdata.ledger.receipt_kinds import OutputReceipt
from mmdata.ledger.receipts import OUTPUT_RECEIPTS, read_outputs
from mmdata.store.schema import StudyLayout
from mmdata.study import Study
from mmstudy.dictionary import study_dictionary
from mmstudy.on_record import put_on_record, require_no_participant, today
from mmstudy.presence import require_present


def export_samples(study: Study, path: Path, features: Sequence[str], *, overwrite: bool) -> int:
    """Write the features of every sample to a file; return how many samples there are.

    Raises
    ------
    CatalogError, DataError
        The file cannot be written, a feature is not known, or participants have withdrawn meanwhile.
    """
    require_writable(path, SUFFIXES, overwrite=overwrite)
    record_output(study.layout, path)
    with open_catalog(study.layout.catalog) as catalog:
        num_samples = export_features(catalog, study_dictionary(study), features, path, overwrite=overwrite)
        rows = [sample.row for sample in known_samples(catalog).values()]
    keep_if_present(study.layout, path, rows)
    return num_samples


def record_output(layout: StudyLayout, path: Path) -> None:
    """Put on record that a file is about to be written.

    Raises
    ------
    StudyError
        Its path holds a participant's number, which receipts must not; or the study cannot be written.
    """
    where = _recorded_path(layout, path)
    require_no_participant(layout, where)
    if where not in read_outputs(layout.receipts):
        put_on_record(layout, OUTPUT_RECEIPTS, OutputReceipt(path=where, date=today()))


def keep_if_present(layout: StudyLayout, path: Path, rows: Collection[int]) -> None:
    """Remove a file that was just written if one of those it shows has withdrawn meanwhile.

    Raises
    ------
    StudyError
        Somebody has.
    """
    try:
        require_present(layout, rows)
    except StudyError:
        path.unlink(missing_ok=True)
        raise


def outputs_inside(layout: StudyLayout) -> list[Path]:
    """Return the files on record that lie in the study."""
    return [path for path in _outputs(layout) if path.is_relative_to(layout.root)]


def outputs_elsewhere(layout: StudyLayout) -> list[Path]:
    """Return the files on record that lie elsewhere, but for those that are seen to be gone."""
    return [path for path in _outputs(layout) if not path.is_relative_to(layout.root)]


def file_of_stdout() -> Path | None:
    """Return the file that standard output goes to; None where it is a terminal or a pipe, or no system says."""
    try:
        path = Path(f"/proc/self/fd/{sys.stdout.fileno()}").readlink()
    except (OSError, ValueError):
        return None
    return path if path.is_absolute() and path.is_file() else None


def _outputs(layout: StudyLayout) -> Iterator[Path]:
    """Yield files on record and what a killed command left of them; those that cannot be seen from here too."""
    for where in read_outputs(layout.receipts):
        path = layout.root / where
        yield from filter(os.path.lexists, (path, draft_of(path)))
        if Path(where).is_absolute() and not path.parent.is_dir():
            yield path


def _recorded_path(layout: StudyLayout, path: Path) -> str:
    """Return where a file lies: below the study where it does, so that the study can be moved."""
    path = path.parent.resolve() / path.name
    return str(path.relative_to(layout.root) if path.is_relative_to(layout.root) else path)
