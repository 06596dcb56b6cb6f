"""What guessing gets: the metrics of saying the same for everybody, beside which a model's are to be seen."""

import numpy as np

from mmtrain.metrics.registry import no_skill
from mmtrain.page.facts import TargetFacts


def by_guessing(target: TargetFacts, name: str) -> float | None:
    """Return a metric on test of saying the same for everybody; None where it is not known.

    Parameters
    ----------
    target
        With what may be told of it: what is computed here follows from its prevalence and its training median.

    Notes
    -----
    Said is the prevalence of the test split for a binary target (average precision p, Brier score p (1 - p)), the
    training median for the mean absolute error, and the mean otherwise.
    """
    prevalence = target.metric("prevalence")
    if name == "average_precision":
        return prevalence
    if name == "brier":
        return None if prevalence is None else prevalence * (1 - prevalence)
    predicted = target.predicted.get("test")
    if name == "mae" and predicted is not None and len(predicted.truth) and target.training_median is not None:
        return float(np.mean(np.abs(predicted.truth - target.training_median)))
    return no_skill(name)
