"""`mm precompute-augs` as its user meets it."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

import mmdata.copies.precompute
from mmdata.store.array import StoredArray, open_array
from tests.conftest import RunMm
from tests.mmcli.outcome import complaint_last


class FullDisk:
    """A tensorstore handle whose writes find the disk full."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def __getattr__(self, name: str) -> Any:
        return getattr(self.handle, name)

    def __getitem__(self, index: Any) -> Any:
        return FullDisk(self.handle[index])

    def write(self, _: Any) -> Any:
        return self

    def result(self) -> Any:
        raise ValueError("RESOURCE_EXHAUSTED: Error writing 'zarr.json.__lock': No space left on device [OS error 28]")


def test_a_disk_that_fills_up_is_one_line_and_the_command_can_be_run_again(
    run_mm: RunMm, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(study, tmp_path / "study"))
    words = ("--study", root, "precompute-augs", "--copies", 3, "--workers", 0)

    def open_on_full_disk(path: Path) -> StoredArray:
        array = open_array(path)
        return dataclasses.replace(array, handle=FullDisk(array.handle))

    with monkeypatch.context() as patch:
        patch.setattr(mmdata.copies.precompute, "open_array", open_on_full_disk)
        message = complaint_last(run_mm(*words))
    assert "disk filled up" in message
    assert "run the same command again" in message
    assert run_mm("--study", root, "status").exit_code == 0
    assert run_mm(*words).exit_code == 0
