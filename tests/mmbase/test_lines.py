"""Every line is read as it was written, or not at all."""

import json
import os
from pathlib import Path

import pytest

from mmbase.lines import (
    CHECKSUM,
    DamagedLineError,
    append_lines,
    is_torn,
    lacks_checksums,
    look_at_lines,
    read_lines,
    replace_lines,
)

CONTENTS = [b'{"row":1,"status":"stored"}', b'{"row":2,"rows":[]}', '{"detail":"ä\\"}"}'.encode()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "some.jsonl"
    append_lines(path, CONTENTS)
    return path


def contents(path: Path) -> list[bytes]:
    return [content for _, content in read_lines(path)]


def test_lines_come_back_and_are_json_with_one_more_entry(path: Path) -> None:
    assert list(read_lines(path)) == [(1, CONTENTS[0]), (2, CONTENTS[1]), (3, CONTENTS[2])]
    for line, content in zip(path.read_text().splitlines(), CONTENTS, strict=True):
        entry = json.loads(line)
        assert len(entry.pop(CHECKSUM)) == 8
        assert entry == json.loads(content)


def test_no_file_means_no_lines(tmp_path: Path) -> None:
    assert contents(tmp_path / "none") == [] and not is_torn(tmp_path / "none")
    assert not lacks_checksums(tmp_path / "none")


def test_no_flipped_bit_changes_what_is_read(path: Path) -> None:
    whole = path.read_bytes()
    num_found = 0
    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            assert contents(path) == CONTENTS[: changed.count(b"\n")]  # the last newline: torn
        except DamagedLineError as error:
            assert list(read_before(path, error.number)) == CONTENTS[: error.number - 1]
            num_found += 1
    assert num_found == 8 * (len(whole) - 1)


def read_before(path: Path, number: int) -> list[bytes | None]:
    return [content for found, content in look_at_lines(path) if found < number]


@pytest.mark.parametrize("tail", [b'{"row":3', bytes(5000), b"\0", b'{"row":3,"crc32":"01234567"}'])
def test_what_follows_the_last_newline_is_passed_over_and_cut_off_by_the_next_writer(path: Path, tail: bytes) -> None:
    with path.open("ab") as file:
        file.write(tail)
    assert contents(path) == CONTENTS and is_torn(path)
    append_lines(path, [b'{"row":4}'])
    assert contents(path) == [*CONTENTS, b'{"row":4}'] and not is_torn(path)


def test_a_file_of_nothing_but_a_torn_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_bytes(b"x" * 10_000)
    append_lines(path, CONTENTS)
    assert contents(path) == CONTENTS


def test_lines_of_earlier_versions_are_read_only_in_front_of_all_others(path: Path) -> None:
    signed = path.read_bytes()
    plain = b'{"row":0}\n{"row":-1}\n'
    path.write_bytes(plain + signed)
    assert contents(path) == [b'{"row":0}', b'{"row":-1}', *CONTENTS] and lacks_checksums(path)
    path.write_bytes(signed + plain)
    with pytest.raises(DamagedLineError, match="line 4"):
        contents(path)


def test_a_file_is_given_checksums_from_what_is_read_of_itself(path: Path) -> None:
    signed = path.read_bytes()
    path.write_bytes(b"".join(content + b"\n" for content in CONTENTS))
    replace_lines(path, (content for _, content in read_lines(path)))
    assert path.read_bytes() == signed and not lacks_checksums(path)


def test_a_new_file_is_known_to_its_folder_before_it_has_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a kill between the two would leave lines in a file that nobody makes sure of any more."""
    path, synced = tmp_path / "some.jsonl", []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink(), path.stat().st_size > 0))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    append_lines(path, CONTENTS[:1])
    append_lines(path, CONTENTS[1:])
    assert synced == [(tmp_path, False), (path, True), (path, True)]
