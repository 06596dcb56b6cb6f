"""What differs between runs: settings, samples and metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from mmstudy.results.read import RunResult
from mmtrain.metrics.registry import in_table_order
from mmtrain.run import RunDirectory, read_table

_MAX_NAMES = 4
"""Of a list that are told; more are counted."""
_ABOUT_INPUTS = ("targets",)
"""Settings that follow from others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Runs side by side."""

    run_ids: tuple[str, ...]
    settings: Mapping[str, tuple[Any, ...]]
    """What differs, by name: the value of each run."""
    results: Mapping[str, tuple[RunResult | None, ...]]
    """By target; None of a run that does not predict it."""
    num_tested: tuple[int, ...]
    """Samples of the split of each run."""
    num_tested_in_all: int
    """Samples of the split that are the same in all of them."""

    @property
    def are_tested_alike(self) -> bool:
        """Return whether the split is the same samples in all runs, so that their numbers can be compared."""
        return set(self.num_tested) == {self.num_tested_in_all}

    def metric_names(self, target: str, split: str) -> list[str]:
        """Return every metric that a run has of a target, in the order of tables."""
        found = {name for result in self.results[target] if result for name in result.metrics.get(split, {})}
        return in_table_order(sorted(found))


def compare_runs(runs: Sequence[Sequence[RunResult]], split: str = "test") -> Comparison:
    """Compare runs, each given as the results of its targets, on one split.

    Raises
    ------
    TrainError
        The cohort of a run is damaged.
    """
    run_ids = tuple(of_run[0].run_id for of_run in runs)
    targets = dict.fromkeys(result.target for of_run in runs for result in of_run)
    tested = [_members(of_run[0].directory, split) for of_run in runs]
    return Comparison(
        run_ids=run_ids,
        settings=differences([of_run[0].config.to_json() for of_run in runs]),
        results={name: tuple(_of_target(of_run, name) for of_run in runs) for name in targets},
        num_tested=tuple(map(len, tested)),
        num_tested_in_all=len(set.intersection(*tested)),
    )


def differences(settings: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Return the settings that are not the same in all, by name; None where one has no such setting.

    >>> differences([{"side": 64, "seed": 1}, {"side": 32, "seed": 1}])
    {'side': (64, 32)}
    """
    names = dict.fromkeys(name for of_run in settings for name in of_run if name not in _ABOUT_INPUTS)
    values = {name: tuple(of_run.get(name) for of_run in settings) for name in names}
    return {name: of_name for name, of_name in values.items() if any(value != of_name[0] for value in of_name)}


def short_value(value: Any) -> str:
    """Return the value of a setting as people read it.

    >>> short_value(("t1", "dwi")), short_value(None), short_value([1, 2, 3, 4, 5])
    ('t1, dwi', '–', '1, 2, 3, 4 and 1 more')
    """
    if value is None:
        return "–"
    if not isinstance(value, list | tuple):
        return str(value)
    more = f" and {len(value) - _MAX_NAMES} more" if len(value) > _MAX_NAMES else ""
    return (", ".join(map(str, value[:_MAX_NAMES])) + more) or "none"


def _of_target(of_run: Sequence[RunResult], target: str) -> RunResult | None:
    return next((result for result in of_run if result.target == target), None)


def _members(run: RunDirectory, split: str) -> set[str]:
    """Return the samples of a split of a run."""
    return set(read_table(run.cohort).filter(pl.col("split") == split)["sample_id"])
