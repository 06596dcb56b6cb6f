"""All that metrics.json says of one target's predictions."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mmtrain.config.data import TargetConfig
from mmtrain.data.order import derive_seed
from mmtrain.metrics.bootstrap import bootstrap
from mmtrain.metrics.fixing import fix
from mmtrain.metrics.metric import Fixed, Metric, Values, applicable, measure
from mmtrain.metrics.predicted import Predicted
from mmtrain.metrics.subgroups import find_subgroups


def judge(
    metrics: tuple[Metric, ...],
    target: TargetConfig,
    training_truth: Values,
    splits: Mapping[str, Predicted],
    seed: int,
) -> dict[str, Any]:
    """Judge the predictions of a target; numbers that are not defined are None.

    Parameters
    ----------
    training_truth
        Labels of the training samples that have one.
    splits
        ``val``, on which what has to be fixed is fixed, and ``test``.
    seed
        Of the run; every bootstrap draws by a seed of its own that follows from it.

    Returns
    -------
    dict
        ``val`` and ``test`` with the metrics, ``intervals``, what was fixed, and ``subgroups`` of the test split.
    """
    val, test = splits["val"], splits["test"]
    fixed = fix(metrics, target, training_truth, val.scored())
    usable = applicable(metrics, fixed)

    def judged(predicted: Predicted, *which: str) -> tuple[dict[str, Any], dict[str, Any]]:
        scored = predicted.scored(fixed)
        own_seed = derive_seed(seed, "bootstrap", target.name, *which)
        intervals = bootstrap(usable, scored, predicted.participants, own_seed)
        return _numbers(measure(usable, scored)), {n: ends and list(ends) for n, ends in intervals.items()}

    of_split = {split: judged(predicted, split) for split, predicted in splits.items()}
    subgroups = []
    for group in find_subgroups(test.groups, test.participants):
        values, intervals = judged(test.select(group.members), "test", group.by, group.name)
        n = int(group.members.sum())
        subgroups.append({"by": group.by, "group": group.name, "n": n, "metrics": values, "intervals": intervals})
    return {
        **{split: values for split, (values, _) in of_split.items()},
        "intervals": {split: intervals for split, (_, intervals) in of_split.items()},
        **_told(fixed),
        "subgroups": subgroups,
    }


def _told(fixed: Fixed) -> dict[str, Any]:
    """Return what was fixed as metrics.json says it; nothing of what does not apply."""
    told: dict[str, Any] = {}
    if fixed.threshold is not None:
        told["decision"] = {"threshold": fixed.threshold, "chosen_on": "val"}
    if fixed.training_median is not None:
        told["training_median"] = fixed.training_median
    if fixed.age_bias is not None:
        told["age_bias"] = asdict(fixed.age_bias)
    return told


def _numbers(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
