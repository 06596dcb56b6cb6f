import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mmbase.files
from mmbase.files import (
    SHARED_FOLDER_MODE,
    SHARED_MODE,
    draft_of,
    make_directory,
    replace_file,
    write_bytes,
    write_json,
    write_json_lines,
    write_text,
)

STEPS = ("fsync", "replace", "sync_directory")


class Killed(BaseException):
    """Stands for a kill: nothing of ours catches it, and nothing is cleared away."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "out.json"
    path.write_bytes(b"old")
    return path


def steps(monkeypatch: pytest.MonkeyPatch, on_step: Callable[[str], None]) -> None:
    """Call back before each step that makes a new content certain."""

    def watched(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def do(*arguments: Any) -> Any:
            on_step(name)
            return step(*arguments)

        return do

    monkeypatch.setattr(os, "fsync", watched("fsync", os.fsync))
    monkeypatch.setattr(Path, "replace", watched("replace", Path.replace))
    monkeypatch.setattr(mmbase.files, "sync_directory", watched("sync_directory", mmbase.files.sync_directory))


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_a_file_is_whole_and_its_owners_alone(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "out.csv"
    before = os.umask(mask)
    try:
        with replace_file(path) as file:
            file.write(b"whole")
            assert not path.exists()
    finally:
        os.umask(before)
    assert path.read_bytes() == b"whole"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_what_was_there_and_nothing_beside_it(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), replace_file(path) as file:
        file.write(b"half")
        _ = 1 // 0
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_content_is_on_the_disk_before_its_name_and_the_name_before_the_writer_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    steps(monkeypatch, done.append)
    write_bytes(path, b"new")
    assert done == ["fsync", "replace", "sync_directory", "fsync"]


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_before_any_step_leaves_the_old_content_or_the_new(
    path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(name: str) -> None:
        if name == step:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # whoever is killed clears nothing away
        steps(patch, kill)
        with pytest.raises(Killed):
            write_bytes(path, b"new" * 1000)
    assert path.read_bytes() == (b"new" * 1000 if step == "sync_directory" else b"old")
    assert draft_of(path).exists() == (step != "sync_directory")
    write_bytes(path, b"newer")
    assert path.read_bytes() == b"newer"
    assert list(path.parent.iterdir()) == [path]


def test_texts_and_objects_are_written_as_readers_expect_them(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write_text(path, "µ\n")
    assert path.read_bytes() == b"\xc2\xb5\n"
    write_json(path, {"a": [1]})
    assert path.read_text() == '{\n  "a": [\n    1\n  ]\n}\n'
    write_json_lines(path, [{"a": 1}, {"b": None}])
    assert path.read_text() == '{"a": 1}\n{"b": null}\n'


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_what_may_be_shared_is_as_private_as_the_user_says(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "a" / "zarr.json"
    before = os.umask(mask)
    try:
        make_directory(path.parent, mode=SHARED_FOLDER_MODE)
        write_bytes(path, b"{}", mode=SHARED_MODE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o777 & ~mask


def test_a_folder_that_is_made_is_on_the_disk_with_those_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(mmbase.files, "sync_directory", synced.append)
    make_directory(tmp_path / "a" / "b" / "c")
    assert synced == [tmp_path / "a" / "b", tmp_path / "a", tmp_path]
    assert stat.S_IMODE((tmp_path / "a" / "b" / "c").stat().st_mode) == 0o700
    make_directory(tmp_path / "a" / "b" / "c")
    assert len(synced) == 3
