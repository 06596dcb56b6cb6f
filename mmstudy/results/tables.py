"""Results of runs as tables for people, and as plain values for programs."""

from collections.abc import Sequence
from typing import Any

from mmbase.names import SPLITS
from mmbase.plain_table import PlainTable, plain_table
from mmstudy.results.choose import MINUTES
from mmstudy.results.compare import Comparison, short_value
from mmstudy.results.read import Measured, RunResult
from mmtrain.metrics.registry import is_main, label_of


def results_table(results: Sequence[RunResult], split: str, sort: str | None) -> PlainTable:
    """Show results, a line each: the metric that they are sorted by, or each one's main metric."""
    metric = None if sort in (None, MINUTES) else sort
    rows = []
    for result in results:
        name = metric or result.main_metric
        shown = measured_text(result.measured(split, name)) if name else ""
        numbers = "/".join(str(result.n[part]) for part in SPLITS)
        rows.append(
            (
                result.run_id,
                result.target,
                " ".join(result.config.data.inputs),
                numbers + (f", {result.withdrawn} withdrawn since" if result.withdrawn else ""),
                "" if result.best_epoch is None else f"{result.best_epoch} of {result.epochs}",
                shown if metric or not shown else f"{name} {shown}",
                "" if result.minutes is None else f"{result.minutes:.1f}",
            )
        )
    titles = ("run", "target", "inputs", "n", "best epoch", f"{split}: {metric}" if metric else split, MINUTES)
    return plain_table(titles, rows, whole=["run"], right=[MINUTES], spared=[MINUTES, "best epoch", "n"])


def metrics_of_run(results: Sequence[RunResult]) -> PlainTable:
    """Show every metric of one run, target by target."""
    rows: list[tuple[str, str, str, str]] = []
    for result in results:
        rows += [(result.target, "", "", ""), ("n", "", str(result.n["val"]), str(result.n["test"]))]
        for name in result.metrics.get("test", {}):
            val, test = (measured_text(result.measured(split, name)) for split in ("val", "test"))
            rows.append((name, label_of(name, result.unit), val, test))
    titles = (f"run {results[0].run_id}", "", "validation (95 % interval)", "test (95 % interval)")
    return plain_table(titles, rows, whole=titles[:1])


def comparison_tables(comparison: Comparison, split: str) -> list[PlainTable]:
    """Show the settings that differ, then the main metrics of each target, a column for each run."""
    named = [f"{number}: {run_id}" for number, run_id in enumerate(comparison.run_ids, 1)]
    settings = [(name, *map(short_value, values)) for name, values in comparison.settings.items()]
    tables = [plain_table(("setting", *named), settings, whole=["setting"])] if settings else []
    for target, results in comparison.results.items():
        rows = [("n", *(str(result.n[split]) if result else "–" for result in results))]
        unit = next((result.unit for result in results if result), "")
        for name in filter(is_main, comparison.metric_names(target, split)):
            values = (measured_text(result.measured(split, name)) if result else "–" for result in results)
            rows.append((label_of(name, unit), *values))
        if not rows[1:]:
            continue
        tables.append(plain_table((f"{target}, {split}", *named), rows))
    of_run = [next(r for of_target in comparison.results.values() if (r := of_target[i])) for i in range(len(named))]
    rows = [
        ("best epoch", *("–" if r.best_epoch is None else f"{r.best_epoch} of {r.epochs}" for r in of_run)),
        ("minutes", *("–" if r.minutes is None else f"{r.minutes:.1f}" for r in of_run)),
        ("parameters", *("–" if r.parameters is None else f"{r.parameters:,}" for r in of_run)),
    ]
    return [*tables, plain_table(("training", *named), rows)]


def measured_text(measured: Measured) -> str:
    """Return a metric with its interval; empty where it is not defined.

    >>> measured_text(Measured(0.5, (0.25, 0.75))), measured_text(Measured(None))
    ('0.500 (0.250 to 0.750)', '')
    """
    if measured.value is None:
        return ""
    ends = measured.interval
    return f"{measured.value:.3f}" + ("" if ends is None else f" ({ends[0]:.3f} to {ends[1]:.3f})")


def plain_result(result: RunResult) -> dict[str, Any]:
    """Return a result as JSON has it."""
    return {
        "run_id": result.run_id,
        "target": result.target,
        "kind": result.kind,
        "unit": result.unit,
        "inputs": list(result.config.data.inputs),
        "metadata_blocks": list(result.config.data.metadata_blocks),
        "model": result.config.model.model,
        "n": dict(result.n),
        "withdrawn": result.withdrawn,
        "best_epoch": result.best_epoch,
        "epochs": result.epochs,
        "minutes": result.minutes,
        "parameters": result.parameters,
        "losses": dict(result.losses),
        "metrics": {split: {n: m.value for n, m in of_split.items()} for split, of_split in result.metrics.items()},
        "intervals": {
            split: {n: m.interval and list(m.interval) for n, m in of_split.items()}
            for split, of_split in result.metrics.items()
        },
    }
