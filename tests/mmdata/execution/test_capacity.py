import shutil
from pathlib import Path

import psutil
import pytest

from mmdata.errors import CapacityError
from mmdata.execution.capacity import Projection, require_capacity


def test_memory_is_what_all_workers_need() -> None:
    assert Projection(workers=3, worker_bytes=7, disk_bytes=1).memory_bytes == 21


def test_what_fits_is_let_through(tmp_path: Path) -> None:
    require_capacity(Projection(workers=1, worker_bytes=1 << 20, disk_bytes=1 << 20), tmp_path)


def test_too_much_memory_is_refused_with_what_to_change(tmp_path: Path) -> None:
    worker_bytes = psutil.virtual_memory().total // 4 + 1
    with pytest.raises(CapacityError, match=r"4 workers need .* GB of memory and .* GB are available.*--workers"):
        require_capacity(Projection(workers=4, worker_bytes=worker_bytes, disk_bytes=0), tmp_path)


def test_too_much_disk_is_refused_with_what_to_change(tmp_path: Path) -> None:
    disk_bytes = shutil.disk_usage(tmp_path).total + 1
    with pytest.raises(CapacityError, match=r"GB on disk and .* GB are free.*Free some space"):
        require_capacity(Projection(workers=1, worker_bytes=0, disk_bytes=disk_bytes), tmp_path)
