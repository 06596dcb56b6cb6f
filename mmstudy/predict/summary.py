"""What a prediction came to, in counts and in words."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmstudy.predict.deviations.names import NAMES
from mmstudy.predict.predictor import Predictor
from mmstudy.predict.samples import LEARNT_FROM, Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictionSummary:
    """Counts of samples, and what their intervals are worth."""

    output: str
    models: tuple[str, ...]
    units: Mapping[str, str]
    """Of the targets."""
    num_predicted: int
    num_refused: int
    num_failed: int
    refused: Mapping[str, int]
    """Name of what was refused to the number of samples; a sample may be refused for several."""
    failed: Mapping[str, int]
    warned: Mapping[str, int]
    """Warning to the number of predicted samples."""
    allowed: Mapping[str, int]
    """Name of a deviation that was allowed to the number of predicted samples."""
    level: float
    half_widths: Mapping[str, float | None]
    """Continuous target to the half-width, in its unit; None where it differs from sample to sample."""
    num_calibration: Mapping[str, int]
    """Continuous target to the number of calibration samples."""
    without_intervals: tuple[str, ...]
    """Continuous targets that have none."""
    num_incomplete: int
    """Predicted samples that lack an input, and have no interval."""
    assumed: Mapping[str, str] = field(default_factory=dict)
    """What is not known of how the model was trained, and what is taken in its place."""
    order: str = ""
    """Which sample is which, where the file does not say; empty where sample ids do."""
    num_withdrawn: int = 0
    num_not_understood: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "output": self.output,
            "models": list(self.models),
            "predicted": self.num_predicted,
            "refused": self.num_refused,
            "failed": self.num_failed,
            "refused_by_name": dict(self.refused),
            "failed_by_reason": dict(self.failed),
            "warnings": dict(self.warned),
            "allowed_by_name": dict(self.allowed),
            "level": self.level,
            "coverage": f"{self.level:.0%} of new samples like the validation samples, on average",
            "half_widths": dict(self.half_widths),
            "calibration_samples": dict(self.num_calibration),
            "without_intervals": list(self.without_intervals),
            "predicted_without_an_input": self.num_incomplete,
            "assumed": dict(self.assumed),
            "withdrawn_left_out": self.num_withdrawn,
            "image_files_not_understood": self.num_not_understood,
        }


def summarise(outcomes: Sequence[Outcome], predictor: Predictor, **more: Any) -> PredictionSummary:
    """Count what became of samples; `more` are other fields of the summary."""
    statuses = Counter(outcome.status for outcome in outcomes)
    refused = Counter(n for o in outcomes for n in {f.name for f in o.faults if not f.is_failure})
    failed = Counter(n for o in outcomes for n in {f.name for f in o.faults if f.is_failure})
    continuous = [target.name for target in predictor.card.targets if target.name not in predictor.thresholds]
    intervals = {name: one for name, one in predictor.intervals.of.items() if predictor.level in one.half_widths}
    return PredictionSummary(
        models=tuple(member.found.name for member in predictor.members),
        units={target.name: target.unit for target in predictor.card.targets},
        num_predicted=statuses["predicted"],
        num_refused=statuses["refused"],
        num_failed=statuses["failed"],
        refused=dict(refused.most_common()),
        failed=dict(failed.most_common()),
        warned=dict(Counter(w for o in outcomes if not o.faults for w in o.warnings).most_common()),
        allowed=dict(Counter(n for o in outcomes if not o.faults for n in {d.name for d in o.allowed}).most_common()),
        level=predictor.level,
        half_widths={
            name: one.half_widths[predictor.level] if one.spread_floor is None else None
            for name, one in intervals.items()
        },
        num_calibration={name: one.num_samples for name, one in intervals.items()},
        without_intervals=tuple(name for name in continuous if name not in intervals),
        num_incomplete=sum(bool(outcome.without) for outcome in outcomes if outcome.status == "predicted"),
        **more,
    )


def summary_lines(summary: PredictionSummary) -> Iterator[str]:
    """Say what was predicted and what not, a fact a line."""
    yield (
        f"Samples predicted with {', '.join(summary.models)}: {summary.num_predicted}; refused: "
        f"{summary.num_refused}; failed: {summary.num_failed}."
    )
    yield from _deviation_lines(summary)
    if summary.num_predicted:
        yield from _interval_lines(summary)
    if learnt := summary.warned.get(LEARNT_FROM, 0):
        yield (
            f"{learnt} of the samples are those that the model has learnt from: their errors and intervals say "
            "nothing of new people. --split test leaves them out."
        )
    for name, sentence in summary.assumed.items():
        yield f"Assumed ({name}): {sentence}"
    if summary.num_withdrawn:
        yield f"Participants left out because they withdrew: {summary.num_withdrawn}."
    if summary.num_not_understood:
        yield f"Image files passed over because their names are not understood: {summary.num_not_understood}."
    if summary.order:
        yield summary.order
    yield f"Wrote {summary.output}. It holds individual-level data: keep it where the scans are."


def _interval_lines(summary: PredictionSummary) -> Iterator[str]:
    """Say how wide intervals are, and what they are worth."""
    for name, number in summary.num_calibration.items():
        half_width = summary.half_widths[name]
        wide = (
            "of a width that grows with the models' disagreement"
            if half_width is None
            else f"± {half_width:g} {summary.units[name]}"
        )
        yield (
            f"Intervals of {name}: {wide.strip()}. They cover {summary.level:.0%} of new samples on average, where "
            f"these are like the {number} validation samples that they are calibrated on."
        )
    if summary.num_calibration and summary.num_incomplete:
        yield (
            f"Predicted without an input, and so without an interval: {summary.num_incomplete}. Validation samples "
            "have all inputs, so their errors do not say how far off such a prediction is."
        )
    for name in summary.without_intervals:
        yield (
            f"No intervals of {name} at {summary.level:.0%}: the model came without them, or too few validation "
            "samples are at hand that all models have."
        )


def _deviation_lines(summary: PredictionSummary) -> Iterator[str]:
    """Say once of each name what it means: the file has a row for each sample."""
    for what, counts in (("Refused", summary.refused), ("Failed", summary.failed), ("Allowed", summary.allowed)):
        for name, number in counts.items():
            yield f"{what} {number}, {name}" + (f": {NAMES[name]}" if name in NAMES else ".")
    if summary.refused or summary.failed:
        yield "Column `reason` says of each what was expected, what came and what to do."
    if not NAMES.keys().isdisjoint([*summary.refused, *summary.allowed]):
        yield "Refusals and allowed deviations are about the files that were given. They are no medical findings."
