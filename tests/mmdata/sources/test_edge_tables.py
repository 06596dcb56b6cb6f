import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdata.errors import SourceError
from mmdata.sources.edge_tables import EdgeTable, find_edge_table
from mmdata.sources.walk import list_folder

Touch = Callable[..., Path]


def table_in(folder: Path) -> EdgeTable | None:
    return find_edge_table(list_folder(folder, folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table of three rows, without its list of ids."""
    np.save(tmp_path / "edges.npy", np.zeros((3, 10), np.float32))
    return tmp_path


@pytest.mark.parametrize("name", ["ids.txt", "subject_IDs.csv", "train-ids.TXT", "eids.txt"])
@pytest.mark.parametrize(
    "text", ["1000001\n01\nsub X\n".replace(" ", ""), "eid\r\n1000001\r\n01\r\nsubX", '"1000001",\n\n01\nsubX\n\n']
)
def test_a_text_list_names_the_rows_in_order(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    table = table_in(folder)
    assert table is not None
    assert (table.path, table.id_list, list(table.ids)) == (
        folder / "edges.npy",
        folder / name,
        ["1000001", "01", "subX"],
    )


@pytest.mark.parametrize(
    "ids",
    [
        np.array([1000001, 7, 12]),
        np.array([[1000001], [7], [12]], np.uint32),
        np.array(["1000001", "7", "12"]),
        np.array([b"1000001", b"7", b"12"]),
    ],
)
def test_a_numpy_list_names_the_rows_in_order(folder: Path, ids: Any) -> None:
    np.save(folder / "ids.npy", ids)
    table = table_in(folder)
    assert table is not None
    assert list(table.ids) == ["1000001", "7", "12"]


def test_a_folder_without_a_table_has_none_whatever_lists_it_has(touch: Touch) -> None:
    assert table_in(touch("ids.txt", "ids.csv", "ids.npy")) is None


@pytest.mark.parametrize(
    ("names", "counts"),
    [((), "1 numpy tables and 0 lists"), (("ids.txt", "ids.csv"), "1 .* 2 lists"), (("b.npy", "ids.txt"), "2 numpy")],
)
def test_a_table_and_its_list_must_be_alone(folder: Path, touch: Touch, names: tuple[str, ...], counts: str) -> None:
    touch(*names)
    with pytest.raises(SourceError, match=f"{counts}.*Put each table with its list into a folder of its own"):
        table_in(folder)


@pytest.mark.parametrize("num_ids", [0, 2, 4])
def test_a_list_of_another_length_is_refused(folder: Path, num_ids: int) -> None:
    (folder / "ids.txt").write_text("".join(f"{1000001 + i}\n" for i in range(num_ids)))
    with pytest.raises(SourceError, match=rf"shape \(3, 10\)\. Expected .* the {num_ids} ids in ids\.txt") as caught:
        table_in(folder)
    assert not re.search(r"100000\d", str(caught.value).replace(str(folder), ""))


def test_a_table_of_matrices_has_a_participant_for_each(folder: Path) -> None:
    np.save(folder / "edges.npy", np.zeros((3, 5, 5)))
    (folder / "ids.txt").write_text("1\n2\n3\n")
    table = table_in(folder)
    assert table is not None and list(table.ids) == ["1", "2", "3"]


@pytest.mark.parametrize("shape", [(3, 5, 4), (3, 5, 5, 1), (3,), (2, 5, 5)])
def test_a_table_of_another_shape_is_refused(folder: Path, shape: tuple[int, ...]) -> None:
    np.save(folder / "edges.npy", np.zeros(shape))
    (folder / "ids.txt").write_text("1\n2\n3\n")
    with pytest.raises(SourceError, match=rf"shape {re.escape(str(shape))}\. Expected \(rows, edges\) or \(rows, reg"):
        table_in(folder)


def test_the_text_file_of_the_tables_own_name_lists_its_rows_where_none_is_named_ids(folder: Path) -> None:
    (folder / "edges.npy").rename(folder / "imaging_fmri_train.npy")
    (folder / "imaging_fmri_train.txt").write_text("1000003\n1000001\n1000002\n")
    (folder / "notes.txt").write_text("nothing\n")
    table = table_in(folder)
    assert table is not None and list(table.ids) == ["1000003", "1000001", "1000002"]
    (folder / "ids.txt").write_text("7\n8\n9\n")
    named = table_in(folder)
    assert named is not None and list(named.ids) == ["7", "8", "9"]


def test_a_list_of_several_columns_is_refused_without_its_text(folder: Path) -> None:
    (folder / "ids.csv").write_text("1000001,61\n1000002,62\n1000003,63\n")
    with pytest.raises(SourceError, match="one id in its entry 1") as caught:
        table_in(folder)
    assert "1000001" not in str(caught.value).replace(str(folder), "")


@pytest.mark.parametrize("name", ["", "10 00", "1\n"])
def test_a_numpy_list_with_an_entry_that_is_no_id_is_refused(folder: Path, name: str) -> None:
    np.save(folder / "ids.npy", np.array(["1", name, "3"]))
    with pytest.raises(SourceError, match="one id in its entry 2"):
        table_in(folder)


@pytest.mark.parametrize("ids", [np.array([1.0, 2.0, 3.0]), np.ones((3, 3), int), np.array([True, False, True])])
def test_a_numpy_list_of_other_things_is_refused(folder: Path, ids: Any) -> None:
    np.save(folder / "ids.npy", ids)
    with pytest.raises(SourceError, match="Expected a vector of whole numbers or of text"):
        table_in(folder)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def pickled(path: Path) -> None:
    np.save(path, np.array([object()] * 3), allow_pickle=True)


@pytest.mark.parametrize("damage", [truncated, emptied, pickled])
@pytest.mark.parametrize("name", ["edges.npy", "ids.npy"])
def test_a_damaged_or_pickled_array_is_refused(folder: Path, damage: Callable[[Path], None], name: str) -> None:
    np.save(folder / "ids.npy", np.arange(3))
    damage(folder / name)
    with pytest.raises(SourceError, match=rf"^{name} in .* cannot be read"):
        table_in(folder)


def test_an_archive_of_arrays_is_refused(folder: Path) -> None:
    (folder / "ids.txt").write_text("1\n2\n3\n")
    with (folder / "edges.npy").open("wb") as file:
        np.savez(file, edges=np.zeros((3, 10)))
    with pytest.raises(SourceError, match=r"edges\.npy .* cannot be read \(it is an archive of arrays"):
        table_in(folder)


def test_a_list_in_another_encoding_is_refused(folder: Path) -> None:
    (folder / "ids.txt").write_bytes("é\n1\n2\n".encode("latin-1"))
    with pytest.raises(SourceError, match=r"ids\.txt in .* cannot be read"):
        table_in(folder)


def test_no_repr_tells_an_id_or_a_path(folder: Path) -> None:
    (folder / "ids.txt").write_text("1000001\n2\n3\n")
    assert "1000001" not in repr(table_in(folder))
    assert str(folder) not in repr(table_in(folder))
