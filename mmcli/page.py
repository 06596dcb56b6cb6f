"""`mm page`: what came out of a run, and whether to believe it, as a page for a browser."""

import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from mmcli.console import report, say
from mmcli.options import JsonOption, study_of

InternalOption = Annotated[
    bool,
    typer.Option(
        "--internal", help="Write report-internal.html, which shows single people and must not leave the platform."
    ),
]
OpenOption = Annotated[bool, typer.Option("--open", help="Open the run's page in a browser.")]


def page(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="Name of the run, as mm status shows it.")],
    internal: InternalOption = False,
    open_it: OpenOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the page of a run: what it found, and its faults.

    It is made of the run's directory alone and shows no single person, unless --internal is given.
    """
    from mmstudy.runs.page import write_run_page

    path = write_run_page(study_of(context), run, internal=internal)
    if open_it:
        open_page(path)
    hint = "It must not leave the platform." if internal else "Open it in a browser."
    report(as_json, {"run_id": run, "page": str(path), "internal": internal}, [f"Wrote {path}. {hint}"])


def open_page(path: Path) -> None:
    """Open a page in the user's browser; where there is none with a window, or no page, say so."""
    if not path.exists():
        say(f"Run {path.parent.name} has no page yet. Write it with: mm page {path.parent.name}")
        return
    open_address(path.resolve().as_uri(), shown=str(path))


def open_address(address: str, *, shown: str | None = None) -> None:
    """Open an address in the user's browser; where there is none with a window, say so and show it."""
    has_window = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not (has_window and webbrowser.open(address)):  # one without a window would take the terminal
        say(f"There is no browser to open here. The page is {shown or address}")
