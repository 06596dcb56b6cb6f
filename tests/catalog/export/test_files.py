from pathlib import Path

import pytest

from catalog.errors import CatalogError
from catalog.export.files import require_writable


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
