"""Progress and messages where no terminal is."""

import pytest

from mmcli import console


def test_progress_is_a_line_every_ten_seconds_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter([0.0, 1.0, 5.0, 12.0, 20.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(seconds))
    with console.show_progress("scans") as show:
        for done in (0, 10, 24, 40):
            show(done, 40)
    assert capsys.readouterr().err.splitlines() == [
        "scans: 0/40 (0.0/s)",
        "scans: 24/40 (2.0/s, 8 s left)",
        "scans: 40/40 (2.0/s)",
    ]


def test_brackets_in_a_message_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.warn("set [train] in study.toml")
    console.report(False, {}, ["[ingest] is read again"])
    captured = capsys.readouterr()
    assert captured.err == "warning: set [train] in study.toml\n"
    assert captured.out == "[ingest] is read again\n"
