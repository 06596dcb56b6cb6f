"""Choose among results, and put the best first."""

import math
from collections.abc import Collection, Sequence

from mmbase.json_text import shortened
from mmbase.names import INPUTS
from mmbase.suggestion import did_you_mean
from mmstudy.results.read import RunResult
from mmtrain.errors import TrainError
from mmtrain.metrics.registry import METRICS, in_table_order

MINUTES = "minutes"


def choose_results(
    results: Sequence[RunResult], *, target: str | None = None, inputs: Collection[str] | None = None
) -> list[RunResult]:
    """Return the results of one target, of runs with exactly some inputs.

    Raises
    ------
    TrainError
        No run has that target, or there is no such input.
    """
    if unknown := [name for name in inputs or () if name not in INPUTS]:
        hint = did_you_mean(unknown[0], INPUTS)
        raise TrainError(f"Expected inputs among {', '.join(INPUTS)}, got {shortened(unknown[0])}.{hint}")
    targets = sorted({result.target for result in results})
    if target is not None and target not in targets:
        raise TrainError(f"No finished run predicts {target!r}.", f"There are runs of {', '.join(targets) or 'none'}.")
    return [
        result
        for result in results
        if target in (None, result.target) and (inputs is None or set(result.config.data.inputs) == set(inputs))
    ]


def sort_results(results: Sequence[RunResult], by: str, split: str) -> list[RunResult]:
    """Return results with the best first; those that lack the metric come last, and equal ones stay in their order.

    Parameters
    ----------
    by
        A metric, or `MINUTES`.

    Raises
    ------
    TrainError
        No result has that metric.
    """
    known = sortable(results)
    if by not in known and results:
        raise TrainError(f"No run has the metric {by!r}.{did_you_mean(by, known)}", f"There are {', '.join(known)}.")
    smaller = by == MINUTES or (by in METRICS and METRICS[by].better == "smaller")

    def place(result: RunResult) -> float:
        value = result.minutes if by == MINUTES else result.measured(split, by).value
        return math.inf if value is None else value if smaller else -value

    return sorted(results, key=place)


def sortable(results: Sequence[RunResult]) -> list[str]:
    """Return what results can be sorted by."""
    measured = {name for result in results for of_split in result.metrics.values() for name in of_split}
    return [*in_table_order(sorted(measured)), MINUTES]
