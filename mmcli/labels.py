"""See what can be predicted, and whether its labels can be trusted."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mmcli.console import report, show_progress
from mmcli.options import JsonOption, OverwriteOption, study_of


def targets(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Show every feature, not the targets alone.")] = False,
    picture: Annotated[
        Path | None, typer.Option(help="Draw them by split to this PNG; it shows small groups too.")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what can be predicted.

    Of each target: kind, unit, how many have it, its distribution.
    """
    from catalog.database import open_catalog
    from catalog.report import feature_table
    from catalog.targets import describe_features
    from mmstudy.dictionary import study_dictionary

    study = study_of(context)
    with open_catalog(study.layout.catalog) as catalog:
        features = describe_features(catalog, study_dictionary(study), every=every)
    lines: list[Any] = [feature_table(features)]
    if picture:
        from catalog.export.files import require_writable
        from mmstudy.outputs import record_output
        from mmstudy.targets_picture import SUFFIXES, write_picture

        require_writable(picture, SUFFIXES, overwrite=overwrite)
        record_output(study.layout, picture)
        write_picture(features, picture, overwrite=overwrite)
        lines.append(f"Wrote {picture}.")
    report(as_json, {"features": [asdict(feature) for feature in features]}, lines)


def audit(
    context: typer.Context,
    target: Annotated[str | None, typer.Option(help="Audit what a model of this target depends on.")] = None,
    compare: Annotated[
        bool, typer.Option("--compare/--no-compare", help="Read every scan to find those that are nearly identical.")
    ] = True,
    every: Annotated[bool, typer.Option("--all", help="Show notes too, which ask for no action.")] = False,
    reach: Annotated[
        bool, typer.Option("--reach", help="Say what each check can find in a study of this size, and look no further.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Look for mistakes in labels, splits and inputs.

    The exit code is 1 when one of them is critical.
    """
    from catalog.audit.report import finding_summary, finding_table, reach_table, urgent_findings
    from mmstudy.audit import describe_reach, run_audit

    if reach:
        found = describe_reach(study_of(context), target)
        report(as_json, {"reach": [asdict(of_check) for of_check in found]}, [reach_table(found)])
        return

    findings = run_audit(study_of(context), show_progress, target=target, compare=compare)
    shown = findings if every else urgent_findings(findings)
    lines: list[Any] = [finding_summary(findings)]
    lines += [finding_table(shown)] if shown else []
    lines += ["Notes ask for no action; --all shows them."] if len(shown) < len(findings) else []
    lines.append("What each check can find in a study of this size: mm audit --reach")
    report(as_json, {"findings": [asdict(finding) for finding in findings]}, lines)
    if any(finding.severity == "critical" for finding in findings):
        raise typer.Exit(1)
