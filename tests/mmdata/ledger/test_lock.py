import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmdata.errors import StudyError
from mmdata.ledger.lock import hold_stores
from mmdata.store.schema import StudyLayout


def test_second_writer_is_told_who_holds_the_stores(tmp_path: Path) -> None:
    layout = StudyLayout(tmp_path)
    with hold_stores(layout), pytest.raises(StudyError, match=f"Process {os.getpid()} is writing"), hold_stores(layout):
        pass
    with hold_stores(layout):
        pass


def test_lock_is_released_by_an_error(tmp_path: Path) -> None:
    layout = StudyLayout(tmp_path)
    with pytest.raises(KeyError), hold_stores(layout):
        raise KeyError
    with hold_stores(layout):
        pass


def test_lock_dies_with_its_process(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys\n"
        "from mmdata.ledger.lock import hold_stores\n"
        "from mmdata.store.schema import StudyLayout\n"
        "with hold_stores(StudyLayout(pathlib.Path(sys.argv[1]))):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        with pytest.raises(StudyError, match=f"Process {process.pid} is"), hold_stores(StudyLayout(tmp_path)):
            pass
        process.kill()
        process.wait()
    with hold_stores(StudyLayout(tmp_path)):
        pass
