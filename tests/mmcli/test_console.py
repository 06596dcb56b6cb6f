"""Progress and messages where no terminal is."""

import io

import pytest
import typer

from mmcli import console


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
