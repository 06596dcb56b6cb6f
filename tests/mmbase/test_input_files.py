import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbase.input_files import NotAFileError, read_regular, require_lines, require_regular


def make_socket(path: Path) -> None:
    os.chdir(path.parent)  # a socket's path may have a hundred characters at most
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (os.mkfifo, "a named pipe"),
        (make_socket, "a socket"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (Path.mkdir, "a folder"),
    ],
)
def test_what_is_no_file_is_told_without_being_opened(
    make: Callable[[Path], object], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "table.csv"
    make(path)
    for read in (require_regular, lambda path: read_regular(path, 10)):
        with pytest.raises(NotAFileError, match=f"it is {kind}, not a file"):
            read(path)


def test_a_file_and_a_link_to_one_are_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to(path)
    assert read_regular(path, 10) == read_regular(tmp_path / "link", 10) == b"0123456789"


def test_more_bytes_than_a_file_may_hold_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "endless"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="more than 1,000") as caught:
        read_regular(path, 1000)
    assert caught.value.errno == errno.EFBIG


def test_a_file_that_is_longer_than_the_system_says_is_not_read_for_ever() -> None:
    with pytest.raises(OSError, match="it grows while it is read"):
        read_regular(Path("/proc/self/status"), 1000)


@given(
    st.lists(st.integers(0, 60), max_size=30),
    st.sampled_from([b"\n", b"\r", b"\r\n"]),
    st.booleans(),
    st.integers(1, 20),
)
def test_a_line_as_long_as_the_limit_is_found_wherever_it_is(
    lengths: list[int], ending: bytes, ends: bool, step: int
) -> None:
    lines = [b"x" * length for length in lengths]
    content = ending.join(lines) + (ending if ends else b"")
    with TemporaryDirectory() as folder, mock.patch("mmbase.input_files._STEP_BYTES", step):
        path = Path(folder) / "table.csv"
        path.write_bytes(content)
        longest = max(lengths, default=0)
        require_lines(path, longest + len(ending) + 1)
        if longest > 1:
            with pytest.raises(OSError, match=f"it has a line of {longest - 1} bytes or more"):
                require_lines(path, longest - 1)
