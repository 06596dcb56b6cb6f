"""The settings of a section follow from its fields."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest

from mmbase.settings import DERIVED, REQUIRED, Option, field_docstrings, settings_of

Mode = Literal["fast", "exact"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How batches are read."""

    source: str
    """Where they
    come from.

    A second paragraph is for readers of the code.
    """
    sides: Annotated[tuple[int, ...], Option(repeatable=True)] = (64, 32)
    """Resolution levels."""
    limit: int | None = None
    """Most batches; None: all."""
    mode: Annotated[Mode | None, Option("--how")] = None
    """Fast or exact."""
    names: list[str] = field(default_factory=lambda: ["t1"])
    """What is read."""
    bytes_read: Annotated[int, DERIVED] = 0
    """Told by the program."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Switches:
    """Things that are on or off."""

    cache: bool = True
    """Keep what was read."""
    drop_last: Annotated[bool, Option(negatable=True)] = False
    """Drop the last batch."""
    verbose: bool = False
    """Say more."""


READING = {setting.name: setting for setting in settings_of(Reading)}


def test_settings_come_in_the_order_of_sections_and_fields() -> None:
    assert [setting.name for setting in settings_of(Switches, Reading)] == [
        *("cache", "drop_last", "verbose"),
        *("source", "sides", "limit", "mode", "names", "bytes_read"),
    ]
    assert {setting.section for setting in settings_of(Switches)} == {Switches}


def test_help_is_the_first_paragraph_in_one_line() -> None:
    assert READING["source"].help == "Where they come from."
    assert "second paragraph" in field_docstrings(Reading)["source"]


def test_defaults_are_those_of_the_fields() -> None:
    assert READING["source"].default is REQUIRED
    assert READING["sides"].default == (64, 32)
    assert READING["limit"].default is None
    assert READING["names"].default == ["t1"]


def test_types_lose_their_annotations_and_none() -> None:
    assert READING["limit"].type == (int | None) and READING["limit"].value_type is int
    assert READING["mode"].choices == ("fast", "exact")
    assert READING["sides"].item_type is int
    assert READING["source"].choices == () and READING["source"].item_type is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [("source", ("--source",)), ("mode", ("--how",)), ("bytes_read", ())],
)
def test_the_option_is_the_name_with_dashes_unless_another_is_given(name: str, expected: tuple[str, ...]) -> None:
    assert READING[name].option_names == expected


def test_a_switch_has_the_form_that_changes_its_default_or_both() -> None:
    names = {setting.name: setting.option_names for setting in settings_of(Switches)}
    assert names == {
        "cache": ("--no-cache",),
        "drop_last": ("--drop-last", "--no-drop-last"),
        "verbose": ("--verbose",),
    }


def test_a_field_without_a_docstring_is_refused() -> None:
    @dataclass
    class Silent:
        epochs: int = 1

    with pytest.raises(TypeError, match=r"docstring below each field of Silent, got none for \['epochs'\]"):
        settings_of(Silent)


def test_a_name_in_two_sections_is_refused() -> None:
    @dataclass
    class Louder:
        verbose: bool = False
        """Say even more."""

    with pytest.raises(TypeError, match="one setting of each name, got several of verbose"):
        settings_of(Switches, Louder)


def test_an_option_of_two_settings_is_refused() -> None:
    @dataclass
    class Clashing:
        first: int = 0
        """One."""
        second: Annotated[int, Option("--first")] = 0
        """Two."""

    with pytest.raises(TypeError, match="one option of each name, got several of --first"):
        settings_of(Clashing)
