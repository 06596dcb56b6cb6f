"""The folder of a new bundle: made beside its place and moved there when it is whole, so no kill leaves half of one."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmbase.checksums import CHECKSUMS
from mmbase.files import draft_of, make_directory, sync_directory
from mmdata.errors import StudyError
from mmdata.store.schema import StudyLayout
from mmstudy.runs.folders import find_holder
from mmtrain.bundle import BundleDirectory

FILE_MODE, FOLDER_MODE = 0o644, 0o755
"""Whatever the umask: a bundle holds nothing of any person, and is made to be passed on."""
_REPLACED_SUFFIX = ".replaced"


@contextmanager
def new_bundle(where: Path, *, overwrite: bool) -> Iterator[BundleDirectory]:
    """Yield an empty folder that takes its place when the block succeeds, and is removed when it fails.

    Parameters
    ----------
    where
        The bundle's place, as `require_place` returned it.
    overwrite
        Replace a bundle that is there.

    Raises
    ------
    StudyError
        A folder that a killed export would have left beside the place holds something else.
    """
    draft, replaced = draft_of(where), _replaced(where)
    for left in (draft, replaced):
        _remove(left)
    make_directory(where.parent)
    draft.mkdir()
    try:
        yield BundleDirectory(draft)
        _share(draft)
        if overwrite and where.exists():
            where.rename(replaced)
        draft.rename(where)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    sync_directory(where.parent)
    _remove(replaced)


def require_place(where: Path, *, overwrite: bool) -> Path:
    """Return where a bundle is to lie, without links.

    Raises
    ------
    StudyError
        Something else is there, or it lies in a study, a store or a run; a study's folder models may hold bundles.
    """
    place = where.expanduser().resolve()
    holder = find_holder(place)
    if holder is not None and place.parent != StudyLayout(holder.path).models:
        raise StudyError(
            f"{where} lies in {holder.what}, and a bundle is made to leave it.",
            "Give a folder outside, or STUDY/models/NAME, where the study finds it by its name.",
        )
    if _replaced(place).is_dir() and not place.exists():
        _replaced(place).rename(place)  # a kill came between the two steps of replacing it
    if place.exists() and not place.is_dir():
        raise StudyError(f"{where} is a file; expected the name of a new folder.")
    if place.is_dir() and any(place.iterdir()):
        if not overwrite:
            raise StudyError(f"{where} is there already.", "Give another name, or --overwrite to replace a bundle.")
        _require_bundle(place)
    return place


def _replaced(where: Path) -> Path:
    """Return where a bundle waits while another takes its place."""
    return where.with_name(where.name + _REPLACED_SUFFIX)


def _share(folder: Path) -> None:
    """Let everybody read a folder, and put it on the disk."""
    for path in folder.rglob("*"):
        path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)
    folder.chmod(FOLDER_MODE)
    sync_directory(folder)


def _remove(folder: Path) -> None:
    """Remove the folder of a bundle, whole or not, if there is one."""
    if folder.is_dir():
        _require_bundle(folder)
        shutil.rmtree(folder)


def _require_bundle(folder: Path) -> None:
    """Refuse to remove a folder that holds anything but a bundle's files."""
    bundle = BundleDirectory(folder)
    own = {folder / CHECKSUMS, bundle.golden_inputs.parent, bundle.golden_inputs.with_name(CHECKSUMS), *bundle.parts}
    if not own.union(map(draft_of, own)).issuperset(folder.rglob("*")):
        raise StudyError(
            f"The folder {folder.name} holds more than a bundle, and would be removed with all that is in it.",
            "Move it away, or give another name.",
        )
