import errno
import resource
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyarrow import parquet

from catalog.errors import CatalogError
from catalog.export.files import require_writable, write_frame

FRAME = pl.DataFrame({"sample_id": [f"sample-{n}" for n in range(2000)], "age": [50.0 + n / 7 for n in range(2000)]})


@pytest.fixture
def file_limit() -> Iterator[None]:
    """No file may be larger than 4 KiB: the disk says so while it is written."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"ends in \.csv or \.parquet; the name that was given ends in \.xlsx"):
        require_writable(tmp_path / "out.xlsx", (".csv", ".parquet"), overwrite=True)
    with pytest.raises(CatalogError, match="has no ending"):
        require_writable(tmp_path / "out", (".csv",), overwrite=True)


def test_a_file_that_is_there_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    require_writable(path, (".csv",), overwrite=False)
    path.touch()
    with pytest.raises(CatalogError, match=r"exists\. Give another name, or --overwrite"):
        require_writable(path, (".csv",), overwrite=False)
    require_writable(path, (".csv",), overwrite=True)


def test_a_folder_of_the_name_is_refused_before_work_begins(tmp_path: Path) -> None:
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(CatalogError, match="is a folder"):
        require_writable(tmp_path / "out.csv", (".csv",), overwrite=True)


def test_a_folder_that_cannot_be_written_is_refused_before_work_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, _: path != tmp_path)  # of root the system asks no mode
    with pytest.raises(CatalogError, match="you may write to"):
        require_writable(tmp_path / "out.csv", (".csv",), overwrite=True)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_is_read_back_as_it_was_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write_frame(path, FRAME)
    assert_frame_equal((pl.read_csv if suffix == ".csv" else pl.read_parquet)(path), FRAME)
    assert path.stat().st_mode & 0o777 == 0o600


def test_parquet_has_the_units_of_columns_in_its_schema(tmp_path: Path) -> None:
    write_frame(tmp_path / "out.parquet", FRAME, {FRAME.columns[0]: "kg"})
    first, *others = parquet.read_schema(tmp_path / "out.parquet")
    assert first.metadata == {b"unit": b"kg"} and not any(field.metadata for field in others)


@pytest.mark.usefixtures("file_limit")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_the_disk_says_while_a_table_is_written_is_known_by_its_number(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    path.write_bytes(b"older")
    with pytest.raises(OSError) as raised:
        write_frame(path, FRAME)
    assert raised.value.errno == errno.EFBIG
    assert [path.read_bytes(), list(tmp_path.iterdir())] == [b"older", [path]]
