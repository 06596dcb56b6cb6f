"""Find a numpy table of edges and the participant of each of its rows; of the table only the header is read.

A table has a row of edges for each participant, or, as the reference study's, a square matrix, shape (N, 360, 360).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mmbase.input_files import read_regular, require_regular
from mmdata.errors import SourceError
from mmdata.sources.numpy_file import open_numpy_file
from mmdata.sources.tables import EID_COLUMNS
from mmdata.sources.walk import Listing

ID_COLUMNS = (*EID_COLUMNS, "biobank_id", "id")
"""Headers of a column of participants in the reference study's layout."""
_ONE_ID = re.compile(r"[^\s,;]+")
_LIST_SUFFIXES = (".txt", ".csv", ".npy")
_MAX_LIST_BYTES = 1 << 26
"""Of a list of ids; one of half a million takes 4 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeTable:
    """A table of edges whose rows have a name."""

    path: Path = field(repr=False)
    id_list: Path = field(repr=False)
    ids: Sequence[str] = field(repr=False)
    """Of the rows, in their order."""


def find_edge_table(listing: Listing) -> EdgeTable | None:
    """Return the table of edges in a folder, None where it has no ``.npy`` file but lists of ids.

    A list of ids has ``ids`` in its name and is a text file with one id a line or a numpy array. Where no file has, it
    is the text file of the table's own name, ``imaging_fmri_train.txt`` beside ``imaging_fmri_train.npy``.

    Raises
    ------
    SourceError
        There are several tables or lists, no list, a file cannot be read, or the list is not as long as the table.
    """
    lists = [name for name in listing.files if "ids" in name.lower() and name.lower().endswith(_LIST_SUFFIXES)]
    tables = [name for name in listing.files if name.lower().endswith(".npy") and name not in lists]
    if not tables:
        return None
    namesakes = {f"{name.lower().removesuffix('.npy')}.txt" for name in tables}
    lists = lists or [name for name in listing.files if name.lower() in namesakes]
    if len(tables) > 1 or len(lists) != 1:
        raise SourceError(
            f"The folder {listing.folder} has {len(tables)} numpy tables and {len(lists)} lists of ids. Expected one "
            "table of edges, NAME.npy, and one list of the participants of its rows, with ids in its name or NAME.txt, "
            "and one id a line.",
            "Put each table with its list into a folder of its own, TRAIN, VAL or TEST.",
        )
    path, id_list = listing.path(tables[0]), listing.path(lists[0])
    ids = _read_ids(id_list)
    shape = _load_array(path).shape
    is_table = len(shape) == 2 or (len(shape) == 3 and shape[1] == shape[2])
    if not is_table or shape[0] != len(ids):
        raise SourceError(
            f"{path.name} in {listing.folder} has the shape {shape}. Expected (rows, edges) or (rows, regions, "
            f"regions), with a row for each of the {len(ids):,} ids in {id_list.name}.",
            "Save both from the same participants.",
        )
    return EdgeTable(path=path, id_list=id_list, ids=ids)


def _read_ids(path: Path) -> Sequence[str]:
    ids = _ids_of_array(_load_array(path), path) if path.suffix.lower() == ".npy" else _ids_of_text(path)
    for number, name in enumerate(ids, start=1):
        if not _ONE_ID.fullmatch(name):
            raise SourceError(
                f"The list of ids {path.name} has something other than one id in its entry {number:,}. Expected one id "
                "a line, in the order of the table's rows."
            )
    return ids


def _ids_of_text(path: Path) -> Sequence[str]:
    try:
        lines = read_regular(path, _MAX_LIST_BYTES).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    ids = [line.strip().rstrip(",").strip("\"'") for line in lines if line.strip()]
    return ids[1:] if ids and ids[0].lower() in ID_COLUMNS else ids


def _ids_of_array(ids_N: NDArray[Any], path: Path) -> Sequence[str]:
    if ids_N.dtype.kind not in "iuUS" or ids_N.size != max(ids_N.shape, default=0):
        raise SourceError(
            f"The list of ids {path.name} is of {ids_N.dtype} in the shape {ids_N.shape}. Expected a vector of whole "
            "numbers or of text.",
            "Save the ids as one of these.",
        )
    return [str(name) for name in ids_N.ravel().astype(str)]


def _load_array(path: Path) -> NDArray[Any]:
    try:
        require_regular(path)
        return open_numpy_file(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> SourceError:
    why = error.strerror if isinstance(error, OSError) else "not UTF-8" if isinstance(error, UnicodeError) else error
    return SourceError(
        f"{path.name} in {path.parent} cannot be read ({why}). Expected a numpy array of numbers or "
        "text saved with numpy.save, or, of ids, a text file in UTF-8.",
        "Save it again, or move it out of the source.",
    )
