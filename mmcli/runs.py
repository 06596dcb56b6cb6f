"""`mm runs`: what trained models came to, and how they differ."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mmcli.console import report, warn
from mmcli.options import JsonOption, OverwriteOption, study_of

if TYPE_CHECKING:
    from mmdata.study import Study
    from mmstudy.results.read import RunResult

PRINTED_RUNS = 50
CSV_SUFFIX = ".csv"


def runs(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN ...]", help="One run: all its metrics. Several: how they differ."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Only runs of this target.")] = None,
    inputs: Annotated[str | None, typer.Option(help="Only runs with exactly these inputs, e.g. t1,flair.")] = None,
    sort: Annotated[
        str | None, typer.Option(help="Show this metric, the best run first; or minutes, the shortest first.")
    ] = None,
    split: Annotated[
        Literal["test", "val"], typer.Option(help="Whose metrics: choose among models on val, report on test.")
    ] = "test",
    limit: Annotated[int, typer.Option(min=1, help="Show no more runs than this.")] = PRINTED_RUNS,
    csv: Annotated[
        Path | None, typer.Option(help="Write the test results to this file, in the published study's 23 columns.")
    ] = None,
    to_mlflow: Annotated[
        str | None, typer.Option(metavar="URI", help="Send settings, losses and metrics to this MLflow server.")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """List trained models and what they came to, or compare some.

    \b
    mm runs --target age --sort mae     all models of age, the smallest error first
    mm runs RUN                         every metric of one run
    mm runs RUN1 RUN2                   settings and metrics in which they differ
    """  # noqa: D301 - click wants the control character itself
    study = study_of(context)
    if names:
        given = {"--target": target, "--inputs": inputs, "--sort": sort, "--csv": csv, "--to-mlflow": to_mlflow}
        if wrong := [option for option, value in given.items() if value is not None]:
            raise typer.BadParameter(
                f"chooses among runs, so leave out their names: {' '.join(names)}", param_hint=wrong
            )
        _compare(study, list(dict.fromkeys(names)), split, as_json=as_json)
        return
    from mmstudy.results.choose import choose_results, sort_results
    from mmstudy.results.read import read_results
    from mmstudy.results.tables import plain_result, results_table

    found = read_results(study)
    for problem in found.unreadable:
        warn(problem)
    names_of_inputs = None if inputs is None else [name.strip() for name in inputs.replace("+", ",").split(",")]
    chosen = choose_results(found.results, target=target, inputs=names_of_inputs)
    if sort is not None:
        chosen = sort_results(chosen, sort, split)
    shown = chosen[:limit]
    lines: list[Any] = [results_table(shown, split, sort) if shown else _nothing(found.results)]
    if len(chosen) > limit:
        lines.append(f"and {len(chosen) - limit} more; --limit shows more of them.")
    if found.unfinished:
        lines.append(f"Not finished: {', '.join(found.unfinished)}.")
    if csv is not None:
        _write_csv(study, csv, chosen, overwrite=overwrite)
        lines = [f"Wrote {csv}: {len(chosen)} rows."]
    content = {"runs": [plain_result(result) for result in shown], "unfinished": list(found.unfinished)}
    if csv is not None:
        content |= {"file": str(csv), "rows": len(chosen)}
    if to_mlflow is not None:
        from mmstudy.results.mlflow_export import export_to_mlflow

        sent = dict(export_to_mlflow(chosen, to_mlflow))
        new = [run_id for run_id, is_new in sent.items() if is_new]
        content |= {"sent": new}
        lines = [*lines[: csv is not None], f"Sent runs: {len(new)}. There already: {len(sent) - len(new)}."]
    report(as_json, content, lines)


def _nothing(results: "Any") -> str:
    if results:
        return "No finished run is like that."
    return "No finished run yet. Train one with: mm train --target age"


def _write_csv(study: "Study", path: Path, results: "list[RunResult]", *, overwrite: bool) -> None:
    from catalog.export.files import require_writable
    from mmbase.files import SHARED_MODE, write_bytes
    from mmstudy.dictionary import study_dictionary
    from mmstudy.results.published import published_csv

    require_writable(path, [CSV_SUFFIX], overwrite=overwrite)
    write_bytes(path, published_csv(results, study_dictionary(study)).encode(), mode=SHARED_MODE)


def _compare(study: "Study", names: list[str], split: str, *, as_json: bool) -> None:
    """Show all metrics of one run, or what differs between several."""
    from mmstudy.results.compare import compare_runs
    from mmstudy.results.read import read_run
    from mmstudy.results.tables import comparison_tables, metrics_of_run, plain_result

    of_runs = [read_run(study, name) for name in names]
    content: dict[str, Any] = {"runs": [plain_result(result) for of_run in of_runs for result in of_run]}
    if len(names) == 1:
        report(as_json, content, [metrics_of_run(of_runs[0])])
        return
    found = compare_runs(of_runs, split)
    judged = "tested" if split == "test" else "validated"
    lines: list[Any] = comparison_tables(found, split)
    if not found.settings:
        lines.insert(0, "The settings are the same.")
    if found.are_tested_alike:
        lines.append(f"All are {judged} on the same {found.num_tested_in_all} samples.")
    else:
        counts = ", ".join(map(str, found.num_tested))
        lines.append(
            f"They are {judged} on different samples ({counts}, of which {found.num_tested_in_all} are in all), so "
            "their numbers cannot be compared directly."
        )
    content |= {
        "settings": {name: list(values) for name, values in found.settings.items()},
        "tested": list(found.num_tested),
        "tested_in_all": found.num_tested_in_all,
    }
    report(as_json, content, lines)
