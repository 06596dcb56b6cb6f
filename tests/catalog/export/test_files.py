import stat
from pathlib import Path

import pytest

from catalog.errors import CatalogError
from catalog.export.files import replace_file, require_writable


def test_a_file_is_whole_and_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with replace_file(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replace_file(path) as file:
        file.write(b"half")
        _ = 1 // 0
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


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
