"""What is predicted of one sample, or why nothing is."""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmstudy.predict.deviation import Deviation

LEARNT_FROM = "the model has learnt from this sample"
"""What a row is warned of whose error and interval say nothing of new people."""
Status: TypeAlias = Literal["predicted", "refused", "failed"]
"""Refused: the sample is not what the model takes. Failed: the machine or a damaged file kept it from being read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One person at one imaging visit."""

    name: str
    """The study's sample id, or ``person-0001`` and so on where there is no study."""
    instance: int
    participant: str = field(repr=False)
    """The source's own identifier."""
    row: int | None = None
    """In the study's arrays; None of somebody who is not in the study."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Why a sample gets no prediction."""

    name: str
    """The same for every sample alike, for counts."""
    text: str
    is_failure: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a sample; T targets."""

    sample: Sample
    faults: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """Inputs of the models that the sample does not have: their intervals, of samples that have all, are not its."""
    allowed: tuple[Deviation, ...] = ()
    """Deviations that the user let pass."""
    prediction_T: NDArray[np.float64] | None = None
    """In the unit of each target, or the probability of class 1; None where there are faults."""
    spread_T: NDArray[np.float64] | None = None
    """Standard deviation over the models; None of one model."""

    @property
    def status(self) -> Status:
        """Return whether it was predicted."""
        if not self.faults:
            return "predicted"
        return "failed" if any(fault.is_failure for fault in self.faults) else "refused"


def finish_all(
    outcomes: MutableMapping[int, Outcome],
    positions: Sequence[int],
    prediction_NT: NDArray[np.float64],
    spread_NT: NDArray[np.float64] | None,
) -> None:
    """Write what the models predicted of some samples into their outcomes.

    Parameters
    ----------
    outcomes
        By position.
    positions
        Whose the rows of the arrays are.
    spread_NT
        Standard deviation over the models; None of one model.
    """
    for index, position in enumerate(positions):
        spread_T = None if spread_NT is None else spread_NT[index]
        outcomes[position] = _finish(outcomes[position], prediction_NT[index], spread_T)


def _finish(outcome: Outcome, prediction_T: NDArray[np.float64], spread_T: NDArray[np.float64] | None) -> Outcome:
    """Return the outcome of a sample that went through the network."""
    if not np.isfinite(prediction_T).all():
        fault = Fault(name="not-finite", text="not-finite: the model's output is no finite number", is_failure=True)
        return replace(outcome, faults=(fault,))
    return replace(outcome, prediction_T=prediction_T, spread_T=spread_T)
