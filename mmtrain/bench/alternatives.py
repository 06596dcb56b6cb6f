"""Other settings of the step, measured where that is cheap: precision and compilation.

An alternative is measured as the step is: on one batch that is on the device already, behind its warm-up.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from mmbase.errors import first_line
from mmtrain.bench.batches import first_batch, hold, in_mode
from mmtrain.bench.stages import measure_step
from mmtrain.precision import resolve_precision
from mmtrain.task import Task

SettingOfStep = Literal["precision", "compile"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Alternative:
    """The step with one setting changed."""

    setting: SettingOfStep
    value: str | bool
    samples_per_second: float | None = None
    """None: it does not work here."""
    warm_up_seconds: float = 0.0
    """Of the first steps: what a change costs each run that begins."""
    problem: str = ""
    """Why it does not work."""


def alternatives_of(task: Task) -> list[tuple[SettingOfStep, str | bool]]:
    """Return the changes of settings that are cheap to measure.

    A processor is asked for neither bfloat16, which it emulates, nor compiled code, which takes it minutes. A GPU
    without bfloat16 is asked for float16.
    """
    config, is_gpu = task.config.optimisation, task.device.type == "cuda"
    changes: list[tuple[SettingOfStep, str | bool]] = []
    usual = resolve_precision("auto", task.device)
    if task.arithmetic != usual:
        changes.append(("precision", "auto"))
    elif is_gpu and usual == "float32":  # which has no bfloat16
        changes.append(("precision", "float16"))
    if config.compile or is_gpu:
        changes.append(("compile", not config.compile))
    return changes


def measure_alternatives(task: Task, seconds: float) -> Iterator[Alternative]:
    """Measure each change of `alternatives_of` for about so many seconds behind its warm-up."""
    plain = in_mode(task, "none")
    portions = first_batch(plain)
    held = [hold(plain, portion) for portion in portions]
    for setting, value in alternatives_of(task):
        try:
            stage = measure_step(_changed(plain, setting, value), portions, held, seconds)
        except RuntimeError as error:  # out of memory, or no compiler: the run as it is has been measured all the same
            yield Alternative(setting=setting, value=value, problem=first_line(error))
        else:
            yield Alternative(
                setting=setting,
                value=value,
                samples_per_second=stage.samples_per_second,
                warm_up_seconds=stage.warm_up_seconds or 0.0,
            )


def _changed(task: Task, setting: SettingOfStep, value: str | bool) -> Task:
    config = task.config.changed(**{setting: value})
    return replace(task, config=config, arithmetic=resolve_precision(config.optimisation.precision, task.device))
