"""Which settings of the step and of reading suit a machine, decided from what was measured there.

What is dear to measure is not measured, and the reason is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mmstudy.recommendation import CLOSE, ModeResult, Recommendation, as_amount
from mmtrain.bench.alternatives import Alternative
from mmtrain.bench.stages import Stage, StageName, share_of_conv_limit
from mmtrain.bench.throughput import Throughput
from mmtrain.config.run import RunConfig
from mmtrain.data.cache_plan import CachePlan

_MEMORY = {"device": "memory of the device", "host": "memory of the host"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A setting that suits the machine, and why."""

    setting: Literal["augment", "precision", "compile", "cache"]
    value: str
    is_measured: bool
    reason: str

    @property
    def option(self) -> str:
        """The setting as an option of `mm train`."""
        if self.setting == "compile":
            return "--compile" if self.value == "yes" else "--no-compile"
        return f"--{self.setting} {self.value}"


def choose_augmentation(mode: ModeResult, recommendation: Recommendation) -> Choice | None:
    """Return the mode that is recommended as a setting; None where there is nothing to augment."""
    if mode.mode == "none":
        return None
    return Choice(
        setting="augment", value=mode.mode, is_measured=not mode.is_predicted, reason=recommendation.reason.rstrip(".")
    )


def compare_precisions(config: RunConfig, usual: str, step: Stage, alternatives: Sequence[Alternative]) -> Choice:
    """Compare the run's number type with the one that was measured beside it.

    Parameters
    ----------
    usual
        The number type that ``auto`` takes on the device.
    """
    measured = _measured("precision", alternatives)
    if measured is None:
        why = f"auto computes in {usual} here; larger types, and those that this device emulates, are not measured"
        return Choice(setting="precision", value="auto", is_measured=False, reason=why)
    given, other = config.optimisation.precision, str(measured.value)
    if measured.samples_per_second is None:
        why = f"{other} does not work here: {measured.problem}"
        return Choice(setting="precision", value=given, is_measured=True, reason=why)
    rates = {given: step.samples_per_second, other: measured.samples_per_second}
    told = ", ".join(
        f"{name}{f' ({usual} here)' if name == 'auto' else ''} takes {rate:,.1f} samples/s"
        for name, rate in rates.items()
    )
    return Choice(setting="precision", value=max(rates, key=rates.__getitem__), is_measured=True, reason=told)


def weigh_compiling(
    config: RunConfig, stages: Mapping[StageName, Stage], alternatives: Sequence[Alternative], epoch_samples: int
) -> Choice:
    """Weigh what compiled steps save in the run's epochs against what compiling takes.

    Parameters
    ----------
    epoch_samples
        Training samples of one epoch of the whole run.
    """
    measured, step = _measured("compile", alternatives), stages["step"]
    if measured is None:
        share = share_of_conv_limit(stages)
        left = "" if share is None else f" and leaves the convolutions, {share:.0%} of the step, as they are"
        why = f"compiling was not measured: on a processor it takes minutes{left}"
        return Choice(setting="compile", value="no", is_measured=False, reason=why)
    if measured.samples_per_second is None:
        given = "yes" if config.optimisation.compile else "no"
        why = f"the other way does not work here: {measured.problem}"
        return Choice(setting="compile", value=given, is_measured=True, reason=why)
    is_on = config.optimisation.compile
    own = (step.samples_per_second, step.warm_up_seconds or 0.0)
    other = (measured.samples_per_second, measured.warm_up_seconds)
    (compiled, compiling), (eager, warming_up) = (own, other) if is_on else (other, own)
    saved = epoch_samples / eager - epoch_samples / compiled
    cost = max(0.0, compiling - warming_up)
    rates = f"compiled steps take {compiled:,.1f} samples/s, others {eager:,.1f}"
    pays = eager <= CLOSE * compiled and cost < saved * config.optimisation.epochs
    if saved <= 0:
        return Choice(setting="compile", value="no", is_measured=True, reason=rates)
    return Choice(
        setting="compile",
        value="yes" if pays else "no",
        is_measured=True,
        reason=f"{rates}; the {cost:,.0f} s of compiling are saved again after {cost / saved:,.1f} epochs",
    )


def weigh_cache(mode: ModeResult, plan: CachePlan, from_memory: Throughput | None) -> Choice:
    """Compare rows that stay in memory with rows that are read again.

    Parameters
    ----------
    plan
        Where ``auto`` keeps the rows of the whole run in this mode.
    from_memory
        What was measured in this mode with rows in memory; None: they are not kept.
    """
    if mode.is_predicted:
        why = f"not measured: the copies that {mode.mode} reads do not exist yet"
        return Choice(setting="cache", value="auto", is_measured=False, reason=why)
    if plan.device is None or from_memory is None:
        why = plan.note or "no row is read twice in so few epochs"
        return Choice(setting="cache", value="auto", is_measured=False, reason=why)
    rate = from_memory.samples_per_second
    return Choice(
        setting="cache",
        value="auto" if rate >= CLOSE * mode.samples_per_second else "none",
        is_measured=True,
        reason=f"the {as_amount(plan.needed_bytes)} of all rows fit into the {_MEMORY[plan.device]}: {rate:,.1f} "
        f"samples/s from there, {mode.samples_per_second:,.1f} read again from the page cache",
    )


def _measured(setting: str, alternatives: Sequence[Alternative]) -> Alternative | None:
    return next((alternative for alternative in alternatives if alternative.setting == setting), None)
