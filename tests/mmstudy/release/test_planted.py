"""Whatever must not be published is found, and what looks like it is not."""

import io
from pathlib import Path

import pytest

from mmstudy.release.kinds import Kind, Mark
from mmstudy.release.look import Looker
from mmstudy.release.people import People
from mmstudy.release.stream import Stream
from tests.mmstudy.release import planted


def look_at_bytes(looker: Looker, content: bytes, where: str) -> list[Mark]:
    """Return what some content must not be published for."""
    return list(looker.look(Stream(where, io.BytesIO(content)), where))


@pytest.fixture(scope="module")
def people() -> People:
    return planted.people()


def test_every_planted_leak_is_found_with_the_study_at_hand(people: People, tmp_path: Path) -> None:
    leaks = planted.leaks(tmp_path)
    missed = [
        f"{leak.name}: {leak.kind}"
        for leak in leaks
        if leak.kind not in {mark.kind for mark in look_at_bytes(Looker(people), leak.content, leak.name)}
    ]
    assert missed == []
    assert len(leaks) >= 60 and {leak.kind for leak in leaks} == set(Kind)


def test_what_needs_no_fingerprint_is_found_without_a_study(tmp_path: Path) -> None:
    missed = [
        f"{leak.name}: {leak.kind}"
        for leak in planted.leaks(tmp_path)
        if not leak.needs_study
        and leak.kind not in {mark.kind for mark in look_at_bytes(Looker(None), leak.content, leak.name)}
    ]
    assert missed == []


@pytest.mark.parametrize("with_study", [True, False])
def test_what_only_looks_like_a_leak_is_not_flagged(people: People, with_study: bool) -> None:
    looker = Looker(people if with_study else None)
    flagged = [
        (name, mark.kind.value, mark.at)
        for name, content in planted.look_alikes()
        for mark in look_at_bytes(looker, content, name)
    ]
    assert flagged == []


def test_a_mark_quotes_nothing_of_a_file(people: People, tmp_path: Path) -> None:
    private = {*map(str, planted.EIDS), *planted.SAMPLES, *planted.KEYS, planted.SALT, planted.TOKEN}
    for leak in planted.leaks(tmp_path):
        for mark in look_at_bytes(Looker(people), leak.content, "a/file"):
            told = f"{mark.what} {mark.at}"
            assert not any(text in told for text in private), leak.name
