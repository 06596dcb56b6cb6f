"""The private folder of a prediction, and what becomes of those that a kill has left."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmstudy.predict.scratch import open_scratch_folder

HOLD = """
import sys, tempfile, time
from mmstudy.predict.scratch import open_scratch_folder
tempfile.tempdir = sys.argv[1]
with open_scratch_folder() as folder:
    (folder / "head.nii.gz").touch()
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_it_is_private_and_gone_afterwards(parent: Path) -> None:
    with open_scratch_folder() as folder:
        assert folder.parent == parent
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "heads").mkdir()
    assert list(parent.iterdir()) == []


def test_the_next_prediction_removes_what_a_kill_has_left_and_nothing_that_is_in_use(parent: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(parent)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        other = Path(process.stdout.readline().strip())
        with open_scratch_folder():
            assert (other / "head.nii.gz").exists()
        os.kill(process.pid, signal.SIGKILL)
    assert other.exists()
    with open_scratch_folder():
        assert not other.exists()
    assert list(parent.iterdir()) == []


def test_a_link_to_somewhere_else_is_left_alone(parent: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "lock").touch()
    (parent / "mm-predict-link").symlink_to(elsewhere)
    with open_scratch_folder():
        assert (elsewhere / "lock").exists()
