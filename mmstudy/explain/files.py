"""Put the files of an explanation into a folder, at the end and all at once, explanation.json last.

Those of one sample are that person's data: they are put on record before they are there, so that a withdrawal removes
them or names them.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from mmbase.files import PRIVATE_FOLDER_MODE, PRIVATE_MODE, SHARED_FOLDER_MODE, SHARED_MODE, make_directory, write_bytes
from mmdata.errors import StudyError
from mmdata.store.schema import StudyLayout
from mmstudy.outputs import record_output
from mmstudy.presence import require_present


def require_new_folder(folder: Path) -> None:
    """Refuse a folder that holds something, before hours of work.

    Raises
    ------
    StudyError
        It does, or it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise StudyError("--output: expected a folder, and there is a file of this name.", "Give another name.")
    if folder.is_dir() and any(folder.iterdir()):
        raise StudyError(
            "--output: the folder is not empty, and files of two explanations would be mixed up.", "Give a new folder."
        )


def write_files(
    layout: StudyLayout, folder: Path, files: Mapping[str, bytes], rows: Collection[int], *, of_one_person: bool
) -> None:
    """Write files in their order; none stays if the disk is full or one of those they show has withdrawn meanwhile.

    Raises
    ------
    StudyError
        Somebody has, the folder's name holds a participant's number, or the study cannot be written.
    OSError
        The disk is full or the folder cannot be written.
    """
    paths = [folder / name for name in files]
    for path in paths if of_one_person else ():
        record_output(layout, path)
    require_present(layout, rows)
    make_directory(folder, mode=PRIVATE_FOLDER_MODE if of_one_person else SHARED_FOLDER_MODE)
    try:
        for path, content in zip(paths, files.values(), strict=True):
            write_bytes(path, content, mode=PRIVATE_MODE if of_one_person else SHARED_MODE)
        require_present(layout, rows)
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
