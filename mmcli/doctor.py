"""`mm doctor`: whether everything that commands need is here."""

from dataclasses import asdict
from pathlib import Path

import typer
from rich.text import Text

from mmbase.plain_table import plain_table
from mmcli.console import fail, report
from mmcli.options import NUM_CORES, JsonOption

CONSTRAINTS = Path(__file__).with_name("constraints.txt")
"""Versions that were tested together; a link to the file of that name beside pyproject.toml."""
_STYLES = {"ok": "green", "note": "yellow", "stops": "red"}


def doctor(context: typer.Context, as_json: JsonOption = False) -> None:
    """Look what would stop a command here; changes nothing.

    Looks at this installation, the machine, the packages, and the file systems of the study and of temporary files.
    Each line is ok, a note that may matter to you, or says what would stop a command; then the exit code is 1.
    """
    from mmstudy.doctor.folders import examine_folders
    from mmstudy.doctor.installation import examine_installation, told_version
    from mmstudy.doctor.machine import examine_machine
    from mmstudy.doctor.packages import examine_packages

    study: Path = context.obj
    findings = [
        *examine_installation(),
        *examine_machine(NUM_CORES),
        *examine_folders(study),
        *examine_packages(CONSTRAINTS),
    ]
    stops = [finding.subject for finding in findings if finding.state == "stops"]
    content = {"ok": not stops, "version": told_version(), "findings": [asdict(finding) for finding in findings]}
    rows = [
        (finding.subject, Text(finding.state, _STYLES[finding.state]), finding.here, finding.remedy)
        for finding in findings
    ]
    report(as_json, content, [plain_table(("what", "", "here", "what to do"), rows, whole=["what", ""])])
    if stops:
        fail(f"{len(stops)} of {len(findings)} would stop a command: {', '.join(stops)}.")
