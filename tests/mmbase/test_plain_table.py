from rich.console import Console
from rich.text import Text

from mmbase.plain_table import plain_table

ROWS = [("age_t1+flair+dwi_20260101-000000", "[bold]mae 3.1", "12"), ("sex", "auc 0.9", "1234")]


def printed(width: int) -> list[str]:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(plain_table(("run", "test", "n"), ROWS, whole=["run"], right=["n"]), soft_wrap=True)
    return capture.get().splitlines()


def test_wide_enough_it_has_a_line_for_each_row() -> None:
    assert [line.split() for line in printed(60)][1:] == [
        ["age_t1+flair+dwi_20260101-000000", "[bold]mae", "3.1", "12"],
        ["sex", "auc", "0.9", "1234"],
    ]


def test_narrow_it_keeps_what_the_next_command_needs_in_one_piece_and_loses_nothing() -> None:
    for width in (36, 40, 48):
        lines = printed(width)
        assert any(line.startswith("age_t1+flair+dwi_20260101-000000") for line in lines)
        assert "…" not in "".join(lines)
        assert sorted("".join("".join(lines).split())) == sorted("".join("".join(printed(60)).split()))


def test_text_keeps_its_style() -> None:
    console = Console(width=20, force_terminal=True, color_system="standard")
    with console.capture() as capture:
        console.print(plain_table(("severity",), [(Text("critical", style="red"),)]))
    assert "\x1b[31mcritical\x1b[0m" in capture.get()


def test_columns_that_can_be_spared_are_left_out_one_by_one_and_named() -> None:
    table = plain_table(("name", "unit", "n"), [("age", "years since birth", "12")], spared=["unit", "n"])
    shown = {}
    for width in (40, 20, 4):
        console = Console(width=width, force_terminal=False)
        with console.capture() as capture:
            console.print(table, soft_wrap=True)
        shown[width] = capture.get()
    assert "years since birth" in shown[40] and "Left out" not in shown[40]
    assert "years" not in shown[20] and "12" in shown[20] and shown[20].endswith("terminal: unit.\n")
    assert "12" not in shown[4] and "age" in shown[4] and shown[4].endswith("terminal: unit, n.\n")
