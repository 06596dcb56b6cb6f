"""A folder whose every change is watched, and what a power cut at any moment may leave of it.

Terms
-----
moment    just before a file operation of this process: what was written before it may be on the disk or not.
pending   a change of a folder (a name that was made, renamed or removed) or of a file's bytes that no fsync has made
          certain. Pending changes of a folder reach the disk in their order, those of different folders in any.
state     one content of the disk after a power cut: path to bytes, None for a folder.

The whole folder is read at each moment and compared with the moment before. So nothing that changes it escapes, whoever
writes: Python, zarr, tensorstore or DuckDB. What cannot be seen so is the fsync of the latter two: tensorstore fsyncs a
shard and its folder, but none above it (as strace shows); DuckDB's files count as certain, as its own tests are about.
"""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import xxhash

State: TypeAlias = dict[str, bytes | None]
CATALOGUE = "catalog.duckdb"
OPERATIONS = ("fsync", "replace", "rename", "unlink", "remove", "rmdir", "mkdir")
ALIKE = ("lost", "empty", "zeroed", "torn", "kept")
WAYS = (*ALIKE, "mixed 1", "mixed 2", "mixed 3")
"""What becomes of all that is pending: nothing of it stays; names stay without their bytes, with zeros, with half of
their bytes, whole (as after a kill); or chance decides on each."""


@dataclass(eq=False)
class File:
    content: bytes = b""
    certain: bytes = b""


@dataclass(eq=False)
class Folder:
    entries: "dict[str, Entry]" = field(default_factory=dict)
    certain: "dict[str, Entry]" = field(default_factory=dict)
    pending: "list[dict[str, Entry | None]]" = field(default_factory=list)

    def settle(self, name: str) -> None:
        """Make the last change of a name certain."""
        self.certain[name] = self.entries[name]
        for change in self.pending:
            change.pop(name, None)

    def after_cut(self, num_changes: int) -> "dict[str, Entry]":
        entries = dict(self.certain)
        for change in self.pending[:num_changes]:
            for name, entry in change.items():
                if entry is None:
                    entries.pop(name, None)
                else:
                    entries[name] = entry
        return entries


Entry: TypeAlias = File | Folder


class WatchedDisk:
    """What is known of a folder, and the states that were possible at each moment so far."""

    def __init__(self, root: Path, links: Path) -> None:
        self.states: dict[str, State] = {}
        """By digest: each once."""
        self.num_moments = 0
        self._root, self._links = root, links
        self._files: dict[int, File] = {}
        self._tree = Folder()
        self._look(root, self._tree)
        self._sync_all(self._tree)

    def pause(self) -> None:
        """Take note of what may be left if the power is cut now."""
        self._look(self._root, self._tree)
        self.num_moments += 1
        for way in WAYS:
            state = dict(self._after_cut(self._tree, way, random.Random(f"{self.num_moments} {way}"), ""))
            self.states.setdefault(_digest(state), state)

    def sync(self, descriptor: int) -> None:
        """Take note of an fsync."""
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not path.is_relative_to(self._root):
            return
        entry: Entry = self._tree
        for name in path.relative_to(self._root).parts:
            assert isinstance(entry, Folder)
            entry = entry.entries[name]
        _make_certain(entry)

    def _look(self, path: Path, folder: Folder) -> None:
        found: dict[str, Entry] = {}
        for item in sorted(os.scandir(path), key=lambda item: item.name):
            before = folder.entries.get(item.name)
            if item.is_dir(follow_symlinks=False):
                found[item.name] = before if isinstance(before, Folder) else Folder()
            else:
                found[item.name] = self._look_at_file(Path(item.path))
        gone = {name: None for name in folder.entries if name not in found}
        made = {name: entry for name, entry in found.items() if folder.entries.get(name) is not entry}
        if gone or made:
            folder.pending.append({**gone, **made})
        folder.entries = found
        for name, entry in found.items():
            if isinstance(entry, Folder):
                self._look(path / name, entry)
            elif _is_shard(path.relative_to(self._root) / name) or name.startswith(f"{CATALOGUE}.wal"):
                entry.certain = entry.content
                folder.settle(name)
            elif name == CATALOGUE:
                entry.certain = entry.content

    def _look_at_file(self, path: Path) -> File:
        number = path.stat().st_ino
        if number not in self._files:
            self._files[number] = File()
            os.link(path, self._links / str(number))  # so that no other file gets its number
        file, content = self._files[number], path.read_bytes()
        if file.content != content:
            file.content = content
        return file

    def _sync_all(self, folder: Folder) -> None:
        for entry in folder.entries.values():
            if isinstance(entry, Folder):
                self._sync_all(entry)
            else:
                _make_certain(entry)
        _make_certain(folder)

    def _after_cut(self, folder: Folder, way: str, chance: random.Random, where: str) -> Iterator[tuple[str, Any]]:
        is_mixed = way not in ALIKE
        num = chance.randint(0, len(folder.pending)) if is_mixed else len(folder.pending) * (way != "lost")
        for name, entry in sorted(folder.after_cut(num).items()):
            path = f"{where}{name}"
            if isinstance(entry, Folder):
                yield path, None
                yield from self._after_cut(entry, way, chance, f"{path}/")
            else:
                yield path, _content_after_cut(entry, chance.choice(ALIKE) if is_mixed else way)


@contextmanager
def watch(root: Path, links: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WatchedDisk]:
    """Watch a folder while the block runs; `links` is an empty one on the same file system."""
    disk = WatchedDisk(root, links)

    def watched(name: str, operate: Callable[..., Any]) -> Callable[..., Any]:
        def do(*arguments: Any, **options: Any) -> Any:
            disk.pause()
            result = operate(*arguments, **options)
            if name == "fsync":
                disk.sync(arguments[0])
            return result

        return do

    with monkeypatch.context() as patch:
        for name in OPERATIONS:
            patch.setattr(os, name, watched(name, getattr(os, name)))
        yield disk
        disk.pause()


def write_state(state: State, root: Path) -> None:
    """Make a folder that holds a state."""
    root.mkdir()
    for path, content in state.items():
        if content is None:
            (root / path).mkdir(mode=0o700)
        else:
            (root / path).write_bytes(content)


def _make_certain(entry: Entry) -> None:
    if isinstance(entry, File):
        entry.certain = entry.content
    else:
        entry.certain, entry.pending = dict(entry.entries), []


def _is_shard(path: Path) -> bool:
    return "c" in path.parts and not path.name.endswith(".__lock")


def _content_after_cut(file: File, way: str) -> bytes:
    if way in ("lost", "empty") or file.content == file.certain:
        return file.certain
    pairs = enumerate(zip(file.certain, file.content, strict=False))
    common = next((i for i, (old, new) in pairs if old != new), min(len(file.certain), len(file.content)))
    rest = file.content[common:]
    kept = {"kept": rest, "zeroed": bytes(len(rest)), "torn": rest[: len(rest) // 2]}
    return file.content[:common] + kept[way]


def _digest(state: State) -> str:
    """Return what states have in common that differ only in what nobody relies on: holders of locks, event files."""
    relied = {path: content for path, content in state.items() if "lock" not in path and "tensorboard/" not in path}
    hashes = {path: "" if content is None else xxhash.xxh3_128_hexdigest(content) for path, content in relied.items()}
    return xxhash.xxh3_128_hexdigest(repr(sorted(hashes.items())).encode())
