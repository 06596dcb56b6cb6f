"""Progress and messages where no terminal is."""

import io

import pytest
import typer
from rich.table import Table
from rich.text import Text

from mmcli import console

HOSTILE = "a\x1b[2J\x1b]0;title\x07b\x9bm\x7f\u202ec\u061cd\udcffe"
"""Clears the screen, names the window, and turns the direction of writing; the last is no text."""


def test_progress_is_a_line_every_ten_seconds_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter([1.0, 5.0, 12.0, 20.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(seconds))
    with console.show_progress("scans") as show:
        for done in (0, 10, 24, 40):
            show(done, 40)
    assert capsys.readouterr().err.splitlines() == [
        "scans: 0/40",
        "scans: 24/40 (2.0/s, 8 s left)",
        "scans: 40/40 (2.0/s)",
    ]


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "answer"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_a_question_is_asked_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, answer: bool
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    assert console.asking(yes=False)("They are removed for good.") is answer
    assert "They are removed for good. Is that meant? [y/N]" in capsys.readouterr().err


def test_without_a_terminal_a_question_fails_and_names_the_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(typer.Exit):
        console.asking(yes=False)("They are removed.")
    assert capsys.readouterr().err == "error: They are removed. Give --yes if that is meant.\n"
    assert console.asking(yes=True)("They are removed.")


def test_brackets_in_a_message_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.warn("set [train] in study.toml")
    console.report(False, {}, ["[ingest] is read again"])
    captured = capsys.readouterr()
    assert captured.err == "warning: set [train] in study.toml\n"
    assert captured.out == "[ingest] is read again\n"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_no_control_character_reaches_the_terminal(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for one in (console.out, console.err):
        monkeypatch.setattr(one, "_force_terminal", is_terminal)
        monkeypatch.setattr(one, "_color_system", None)
    table = Table(HOSTILE, box=None)
    table.add_row(HOSTILE)
    table.add_row(Text("as a text " + HOSTILE))  # measured before it is made printable, and cut off
    console.report(False, {}, [HOSTILE, table])
    console.warn(HOSTILE)
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert not [character for character in text if not (character.isprintable() or character == "\n")]
    assert text.count("a\\x1b[2J\\x1b]0;title") == 5
    assert text.count("b\\x9bm\\x7f\\u202ec\\u061cd\\udcffe") == 4


def test_markup_and_emoji_codes_in_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("[link=http://x]a[/link]", box=None, pad_edge=False)
    table.add_row(":warning:[red]b")
    console.report(False, {}, [table, "sub:id:1"])
    console.say(":warning:")
    captured = capsys.readouterr()
    assert [line.strip() for line in captured.out.splitlines()] == [
        "[link=http://x]a[/link]",
        ":warning:[red]b",
        "sub:id:1",
    ]
    assert captured.err == ":warning:\n"


def test_a_name_cannot_forge_a_second_message(capsys: pytest.CaptureFixture[str]) -> None:
    console.warn("passed over x\nerror: all is lost")
    assert capsys.readouterr().err == "warning: passed over x\\nerror: all is lost\n"


@pytest.mark.parametrize(("is_terminal", "shown"), [(True, "\\x1b[2J\tü\n"), (False, "\x1b[2J\tü\n")])
def test_rows_are_made_printable_for_a_terminal_and_left_alone_in_a_file(
    is_terminal: bool, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.StringIO()
    monkeypatch.setattr(file, "isatty", lambda: is_terminal)
    monkeypatch.setattr("sys.stdout", file)
    console.ScreenOrFile().write("\x1b[2J\tü\n")
    assert file.getvalue() == shown
