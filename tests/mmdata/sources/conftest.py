"""Trees of empty files: finders go by names alone."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Touch = Callable[..., Path]


@pytest.fixture
def touch(tmp_path: Path) -> Touch:
    """Make empty files below the test's folder, which is returned."""

    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Take all permissions from a folder below the test's, until the test is over."""
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    changed: list[Path] = []

    def lock(name: str) -> None:
        changed.append(tmp_path / name)
        changed[-1].chmod(0)

    yield lock
    for path in changed:
        path.chmod(0o700)
