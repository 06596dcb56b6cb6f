"""A file that has changed since it was written is known."""

from pathlib import Path

import pytest

import mmbase.checksums
from mmbase.checksums import CHECKSUMS, find_changed, is_unchanged, record_missing, write_checked


def test_every_flipped_bit_of_a_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    write_checked(path, b"weights")
    assert is_unchanged(path) and find_changed(tmp_path) == []
    for bit in range(8 * len(b"weights")):
        changed = bytearray(b"weights")
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        assert not is_unchanged(path) and find_changed(tmp_path) == ["model.json"]


def test_a_kill_between_checksum_and_content_leaves_a_file_that_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.json"

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    for number in range(3):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(mmbase.checksums, "write_bytes", die)
            write_checked(path, f"killed {number}".encode())
        assert is_unchanged(path) and find_changed(tmp_path) == []
        write_checked(path, f"written {number}".encode())
        assert is_unchanged(path) and find_changed(tmp_path) == []


def test_a_kill_while_a_file_of_an_earlier_version_is_replaced_leaves_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cohort.parquet"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(mmbase.checksums, "write_bytes", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        write_checked(path, b"new")
    assert is_unchanged(path) and find_changed(tmp_path) == []


def test_the_same_content_again_is_on_record_once(tmp_path: Path) -> None:
    for content in (b"one", b"two", b"one"):
        write_checked(tmp_path / "model.json", content)
    assert len((tmp_path / CHECKSUMS).read_text().splitlines()) == 2


def test_files_of_earlier_versions_count_as_whole_and_are_put_on_record_as_they_are(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    write_checked(new, b"new")
    assert is_unchanged(old) and is_unchanged(tmp_path / "none")
    new.write_bytes(b"changed")
    record_missing(tmp_path, ["old", "new", "none"])
    old.write_bytes(b"changed")
    assert find_changed(tmp_path) == ["new", "old"]


@pytest.mark.parametrize("line", [b"hello", b"[1]", b"{}", b"\0" * 80, b"\xff", b'{"file": ["a"], "xxh3_128": "0"}'])
def test_a_line_of_anything_else_is_damaged(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "model.json"
    (tmp_path / CHECKSUMS).write_bytes(line + b"\n")
    path.write_bytes(b"weights")
    assert is_unchanged(path) and find_changed(tmp_path) == [CHECKSUMS]


def test_a_damaged_checksum_is_no_fault_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    write_checked(path, b"weights")
    content = (tmp_path / CHECKSUMS).read_bytes()
    (tmp_path / CHECKSUMS).write_bytes(content.replace(b"model.json", b"medel.json"))
    assert is_unchanged(path) and find_changed(tmp_path) == [CHECKSUMS]
