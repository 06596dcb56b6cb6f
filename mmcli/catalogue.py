"""Ask the catalogue in SQL, and write its features to files."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmcli.console import ScreenOrFile, report
from mmcli.options import JsonOption, OverwriteOption, study_of

if TYPE_CHECKING:
    from mmdata.study import Study

PRINTED_ROWS = 200
"""Rows of a query that are shown to people."""


def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(help='One SELECT, e.g. "SELECT status, count(*) FROM scans GROUP BY ALL".')],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all rows as CSV on stdout.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask the catalogue in SQL; nothing can be changed.

    What is printed may name participants.
    """
    from catalog.database import open_catalog
    from catalog.query import count_rows, plain_rows, run_query, write_rows
    from catalog.report import row_table
    from mmstudy.outputs import file_of_stdout, record_output

    if as_csv and as_json:
        raise typer.BadParameter("give either --csv or --json", param_hint="--csv")
    layout = study_of(context).layout
    if file := file_of_stdout():
        record_output(layout, file)
    with open_catalog(layout.catalog) as catalog:
        result = run_query(catalog, sql)
        if as_csv:
            write_rows(result, ScreenOrFile())
            return
        if as_json:
            report(as_json, {"columns": list(result.columns), "rows": plain_rows(result)}, [])
            return
        rows = list(islice(result.rows, PRINTED_ROWS + 1))
        lines: list[Any] = [row_table(result.columns, rows[:PRINTED_ROWS])]
        if len(rows) > PRINTED_ROWS:
            lines.append(f"and {count_rows(catalog, sql) - PRINTED_ROWS} more rows; --csv prints all of them.")
    report(as_json, {}, lines)


def export(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="File to write: .parquet or .csv.")],
    feature: Annotated[list[str] | None, typer.Option(help="Feature to write, repeatable; left out: all.")] = None,
    summary_only: Annotated[
        bool, typer.Option("--summary-only", help="Write only counts of groups, with cells below 10 suppressed.")
    ] = False,
    by: Annotated[str | None, typer.Option(help="With --summary-only: cross with this feature, or with split.")] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the features of every sample, or counts of groups.

    The features come without eids. The counts may leave a secure platform.
    """
    from catalog.export.export import SUFFIXES
    from catalog.export.files import require_writable

    if by and not summary_only:
        raise typer.BadParameter("is for counts of groups; give --summary-only too", param_hint="--by")
    study = study_of(context)
    require_writable(path, SUFFIXES, overwrite=overwrite)
    if summary_only:
        num_rows, lines = _write_groups(study, path, feature or [], by or "", overwrite=overwrite)
    else:
        num_rows, lines = _write_samples(study, path, feature or [], overwrite=overwrite)
    report(as_json, {"file": str(path), "rows": num_rows}, lines)


def _write_groups(
    study: "Study", path: Path, features: list[str], by: str, *, overwrite: bool
) -> tuple[int, list[Any]]:
    from catalog.database import open_catalog
    from catalog.export.export import export_groups
    from catalog.export.group_counts import count_groups
    from catalog.report import SUPPRESSED_NOTE, group_table
    from mmstudy.dictionary import study_dictionary

    with open_catalog(study.layout.catalog) as catalog:
        counted = count_groups(catalog, study_dictionary(study), features, by)
    num_rows = export_groups(counted, path, overwrite=overwrite)
    wrote = f"Wrote {path}: {num_rows} numbers; suppressed ones are empty."
    return num_rows, [group_table(counted), SUPPRESSED_NOTE, wrote]


def _write_samples(study: "Study", path: Path, features: list[str], *, overwrite: bool) -> tuple[int, list[Any]]:
    from mmstudy.outputs import export_samples

    num_rows = export_samples(study, path, features, overwrite=overwrite)
    return num_rows, [f"Wrote {path}: {num_rows} samples. It holds individual-level data: keep it where the study is."]
