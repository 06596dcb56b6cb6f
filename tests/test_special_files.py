"""No reader of a source waits for a named pipe or fills the memory from a device."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from catalog.errors import TableError
from catalog.tables.headers import read_header
from mmbase.errors import MmError
from mmbase.records import ScanCandidate, Visit
from mmdata.errors import ScanRejected
from mmdata.readers.edges import read_edges
from mmdata.readers.image import read_image
from mmdata.readers.members import open_members, read_member
from mmdata.readers.ukb import read_connectome
from mmdata.sources.edge_tables import find_edge_table
from mmdata.sources.walk import list_folder
from mmdata.volume.connectome import CONNECTOMES
from mmdata.volume.nifti import encode_volume

SPACE = "MNI152-linear"


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """End a test that hangs; no test that passes is near it."""

    def ring(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def image_in(folder: Path) -> Path:
    path = folder / "image.nii.gz"
    path.write_bytes(encode_volume(np.ones((8, 8, 8)), np.eye(4), np.uint8))
    return path


def candidate(path: Path, **fields: object) -> ScanCandidate:
    return ScanCandidate(visit=Visit(1, 2), modality="t1", path=path, **fields)  # type: ignore[arg-type]


def read_unpacked(path: Path) -> None:
    with open_members(path.parent) as members:
        read_member(members, path.name)


def read_archive(path: Path) -> None:
    with open_members(path) as members:
        members.names()


READERS: dict[str, Callable[[Path], object]] = {
    "image": lambda path: read_image(candidate(path, form="image"), SPACE),
    "mask": lambda path: read_image(candidate(image_in(path.parent), form="image", mask_path=path), SPACE),
    "transform": lambda path: read_image(candidate(image_in(path.parent), form="image", transform_path=path), SPACE),
    "archive": read_archive,
    "unpacked": read_unpacked,
    "connectivity": lambda path: read_connectome(path, CONNECTOMES["full25"]),
    "edges": lambda path: read_edges(candidate(path, form="edges", table_row=0), 3),
}


@pytest.mark.parametrize("make", [make_pipe, make_device])
@pytest.mark.parametrize("name", READERS)
def test_a_scan_that_is_no_file_is_rejected(name: str, make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "scan")
    with pytest.raises(ScanRejected, match=r"it is (a named pipe|a device), not a file") as caught:
        READERS[name](tmp_path / "scan")
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize("make", [make_pipe, make_device])
@pytest.mark.parametrize("name", ["table.csv", "edges.npy", "ids.txt", "ids.npy"])
def test_a_table_or_list_that_is_no_file_is_refused(name: str, make: Callable[[Path], None], tmp_path: Path) -> None:
    if name.startswith("ids"):
        np.save(tmp_path / "edges.npy", np.zeros((1, 3), np.float32))
    elif name.endswith(".npy"):
        (tmp_path / "ids.txt").write_text("1\n")
    make(tmp_path / name)
    with pytest.raises(MmError, match=r"it is (a named pipe|a device), not a file"):
        if name == "table.csv":
            read_header(tmp_path / name)
        else:
            find_edge_table(list_folder(tmp_path, tmp_path))


@pytest.mark.parametrize("start", [b"", b"eid,31-0.0\n1,2\n"], ids=["header", "row"])
@pytest.mark.parametrize("end", [b"", b"\n3,4\n"], ids=["to the end", "before other rows"])
def test_a_line_without_end_is_not_read(start: bytes, end: bytes, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(start + b"7" * 2000)
    with path.open("r+b") as file:
        file.truncate(1 << 40)
        file.seek(0, os.SEEK_END)
        file.write(end)
    with pytest.raises(TableError, match=r"has a line of 4,194,304 bytes or more"):
        read_header(path)


@pytest.mark.parametrize("make", [make_pipe, make_device])
def test_an_ingest_passes_over_whatever_is_no_file_and_says_so(
    make: Callable[[Path], None],
    tmp_path: Path,
    release: Path,
    make_study: Callable[..., Path],
    run_mm: Callable[..., Result],
) -> None:
    source = tmp_path / "ukb"
    source.mkdir()
    scans = sorted(release.rglob("*_20252_2_0.zip"))[:2]
    shutil.copy(scans[0], source)
    make(source / scans[1].name)
    for name in ("notes.csv", "list.txt", "table.tsv", "stray"):
        make(source / name)
    root = make_study(tmp_path / "study", source=source)
    result = run_mm("--study", root, "ingest", "ukb", "--workers", 0)
    assert result.exit_code == 0, result.output
    assert [name for name in ("notes.csv", "list.txt", "table.tsv") if f"Passed over {name}" not in result.stdout] == []
    assert "1 unreadable" in result.stdout
    make(source / "w12345_20260101.csv")
    result = run_mm("--study", root, "ingest", "ukb", "--workers", 0)
    assert result.exit_code == 1 and "w12345_….csv. It may be a table or a withdrawal list" in result.stderr


@pytest.mark.parametrize("option", ["--withdrawals", "--test-list", "--kinship", "--table"])
def test_a_list_or_table_that_is_given_and_is_no_file_is_one_line(
    option: str, tmp_path: Path, release: Path, make_study: Callable[..., Path], run_mm: Callable[..., Result]
) -> None:
    make_pipe(tmp_path / "given.csv")
    root = make_study(tmp_path / "study")
    result = run_mm("--study", root, "ingest", "ukb", option, tmp_path / "given.csv", "--workers", 0)
    assert result.exit_code == 1 and "given.csv" in result.stderr and len(result.stderr.splitlines()) == 1
