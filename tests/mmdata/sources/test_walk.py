import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mmdata.errors import SourceError
from mmdata.sources.walk import list_folder, require_folder, walk_folders

Touch = Callable[..., Path]


def walked(root: Path) -> list[str]:
    """Return the files below a folder as they are met."""
    return [str((one.folder / name).relative_to(root)) for one in walk_folders(root, set()) for name in one.files]


def test_a_folder_comes_before_its_folders_and_all_are_in_order_of_name(touch: Touch) -> None:
    assert walked(touch("b/x", "a/y", "a/c/z", "d", "Z")) == ["Z", "d", "a/y", "a/c/z", "b/x"]


def test_links_to_folders_are_followed(touch: Touch, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "file").touch()
    root = touch("a/x")
    (root / "link").symlink_to(elsewhere)
    assert walked(root) == ["a/x", "link/file"]


def test_loops_of_links_end_and_each_folder_is_met_once(touch: Touch) -> None:
    root = touch("a/x", "b/y")
    (root / "a/up").symlink_to(root)
    (root / "a/b").symlink_to(root / "b")
    (root / "b/a").symlink_to(root / "a")
    (root / "self").symlink_to(root / "self")
    assert walked(root) == ["self", "a/x", "a/b/y"]


def test_folders_taken_out_of_a_listing_are_not_entered(touch: Touch) -> None:
    met = []
    for listing in walk_folders(touch("a/x", "b/y"), set()):
        listing.folders[:] = [name for name in listing.folders if name != "a"]
        met += listing.files
    assert met == ["y"]


def test_folders_seen_before_are_not_entered(touch: Touch) -> None:
    root, seen = touch("a/x", "b/y"), set[tuple[int, int]]()
    assert [one.files for one in walk_folders(root / "a", seen)] == [["x"]]
    assert [one.files for one in walk_folders(root, seen)] == [[], ["y"]]


def test_a_folder_that_cannot_be_read_is_refused_without_its_name(touch: Touch, locked: Callable[[str], None]) -> None:
    root = touch("1000001/x")
    locked("1000001")
    with pytest.raises(SourceError, match=r"cannot be read \(Permission denied\).*check the permissions") as caught:
        walked(root)
    assert str(root) in str(caught.value)
    assert "1000001" not in str(caught.value)


def test_a_folder_that_is_gone_is_refused_without_its_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file") as caught:
        list_folder(tmp_path / "1000001", tmp_path)
    assert "1000001" not in str(caught.value)


@pytest.mark.parametrize("name", ["file", "nowhere"])
def test_a_source_that_is_no_folder_is_refused_with_what_to_give(touch: Touch, name: str) -> None:
    root = touch("file")
    with pytest.raises(SourceError, match=f"{name} is not a folder. Give the folder of everything"):
        require_folder(root / name, "the folder of everything")


def test_no_repr_of_a_listing_tells_a_name(touch: Touch) -> None:
    root = touch("1000001/1000002", "1000003")
    assert not any(name in repr(list_folder(root, root)) for name in ("1000001", "1000003", os.fspath(root)))
