"""What runs come to when they are measured again: as tables for people, and as plain values for programs."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from typing import Any

from mmbase.plain_table import PlainTable, plain_table
from mmstudy.evaluate.again import EVALUATED, MeasuredAgain
from mmstudy.evaluate.subsets import SubsetScores
from mmstudy.results.read import Measured
from mmstudy.results.tables import measured_text
from mmtrain.metrics.registry import is_main, label_of

CSV_HEADER = (
    *("run", "target", "split", "samples", "inputs", "metric", "value", "low", "high"),
    *("separate_run", "separate_value", "separate_low", "separate_high"),
    *("difference", "difference_low", "difference_high"),
)
_NOTHING = Measured(None)


def again_table(again: MeasuredAgain) -> PlainTable:
    """Show the main metrics of a target as they were and as they are now."""
    result = again.result
    rows = []
    for name in filter(is_main, again.metrics["test"]):
        cells = [name, label_of(name, result.unit)]
        for split in EVALUATED:
            now = again.metrics[split][name]
            cells += [
                _number(result.measured(split, name).value),
                _number(now if math.isfinite(now) else None),
            ]
        rows.append(tuple(cells))
    titles = (result.target, "", "validation then", "now", "test then", "now ")
    return plain_table(titles, rows, whole=titles[:1])


def again_line(again: MeasuredAgain) -> str:
    """Say by how much predictions differ from the run's own."""
    unit = "of a probability" if again.result.kind == "classification" else again.result.unit
    return (
        f"The {again.num_predictions} predictions of {again.result.target} differ from the run's own by at most "
        f"{again.largest_difference:.2g} {unit}."
    )


def plain_again(again: MeasuredAgain) -> dict[str, Any]:
    """Return a target of a run that was measured again as JSON has it."""
    return {
        "target": again.result.target,
        "unit": again.result.unit,
        "recorded": {
            split: {name: again.result.measured(split, name).value for name in of_split}
            for split, of_split in again.metrics.items()
        },
        "metrics": {
            split: {name: value if math.isfinite(value) else None for name, value in of_split.items()}
            for split, of_split in again.metrics.items()
        },
        "predictions": again.num_predictions,
        "largest_difference": again.largest_difference,
    }


def subsets_table(found: SubsetScores) -> PlainTable:
    """Show the main metric from each subset, beside that of the model that was trained on it alone."""
    name = found.main_metric
    rows = []
    for score in found.scores:
        separate = score.separate
        rows.append(
            (
                " ".join(score.inputs),
                measured_text(score.metrics[name]),
                "–" if separate is None else measured_text(separate.metrics[name]),
                "–" if separate is None else measured_text(separate.differences[name]),
                "–" if separate is None else separate.run_id,
            )
        )
    label = label_of(name, found.result.unit)
    titles = (f"{found.result.target} from", f"{found.split}: {label}", "trained on these alone", "difference", "run")
    return plain_table(titles, rows, whole=titles[:1], spared=["run"])


def subsets_lines(found: SubsetScores) -> list[str]:
    """Say who was judged, and what the columns are."""
    lines = [
        f"{len(found.scores)} subsets of the inputs of run {found.result.run_id}, all on the same {found.num_samples} "
        f"samples of {found.num_participants} participants; 95 % intervals over participants."
    ]
    if any(score.separate for score in found.scores):
        lines.append("The difference is this model minus the one trained on these alone, on the same participants.")
    else:
        lines.append("No other run of this target and network was trained on one of these subsets alone.")
    return lines


def plain_subsets(found: SubsetScores) -> dict[str, Any]:
    """Return a target's scores as JSON has them."""
    return {
        "target": found.result.target,
        "unit": found.result.unit,
        "split": found.split,
        "samples": found.num_samples,
        "participants": found.num_participants,
        "main_metric": found.main_metric,
        "subsets": [
            {
                "inputs": list(score.inputs),
                **_plain(score.metrics),
                "separate": score.separate
                and {
                    "run_id": score.separate.run_id,
                    **_plain(score.separate.metrics),
                    "differences": _plain(score.separate.differences),
                },
            }
            for score in found.scores
        ],
    }


def subsets_csv(found: Sequence[SubsetScores]) -> str:
    """Return the scores as a table, a line for each subset and metric; what there is not is empty."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for of_target in found:
        writer.writerows(_csv_rows(of_target))
    return text.getvalue()


def _csv_rows(found: SubsetScores) -> Iterator[tuple[Any, ...]]:
    asked = (found.result.run_id, found.result.target, found.split, found.num_samples)
    for score in found.scores:
        separate = score.separate
        for name, measured in score.metrics.items():
            compared: tuple[Any, ...] = ("",) * 7
            if separate is not None:
                theirs, difference = separate.metrics[name], separate.differences.get(name, _NOTHING)
                compared = (separate.run_id, *_cells(theirs), *_cells(difference))
            yield (*asked, "+".join(score.inputs), name, *_cells(measured), *compared)


def _cells(measured: Measured) -> tuple[Any, ...]:
    return measured.value, *(measured.interval or (None, None))


def _plain(metrics: Mapping[str, Measured]) -> dict[str, Any]:
    return {
        "metrics": {name: measured.value for name, measured in metrics.items()},
        "intervals": {name: measured.interval and list(measured.interval) for name, measured in metrics.items()},
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
