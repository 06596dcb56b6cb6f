"""Whether a run outside its study is there, gone or out of reach."""

import errno
import os
from pathlib import Path

import pytest

from mmbase.run_folders import RUNS_MARK, is_gone, is_here


def test_a_run_is_gone_only_where_its_folder_has_its_mark(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "age_t1_20261127-120000"
    told = {"no folder": (is_here(run), is_gone(run))}
    run.parent.mkdir()
    told["empty folder"] = (is_here(run), is_gone(run))
    (run.parent / RUNS_MARK).touch()
    told["marked folder"] = (is_here(run), is_gone(run))
    run.mkdir()
    told["run"] = (is_here(run), is_gone(run))
    assert told == {
        "no folder": (False, False),
        "empty folder": (False, False),
        "marked folder": (False, True),
        "run": (True, False),
    }


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOTCONN, errno.ESTALE, errno.EIO])
def test_a_run_on_a_lost_network_disk_is_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def lost(*_: object, **__: object) -> os.stat_result:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "stat", lost)
    assert not is_here(tmp_path) and not is_gone(tmp_path)
