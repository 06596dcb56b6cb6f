"""What `mm bench` measured, as tables for people."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from mmbase.duration import as_duration
from mmbase.plain_table import PlainTable, plain_table
from mmstudy.bench import BenchResult
from mmstudy.recommendation import ModeResult, as_amount
from mmtrain.bench.stages import Stage, StageName
from mmtrain.bench.start_up import StartUp

WHAT_STAGES_DO: dict[StageName, str] = {
    "disk": "read compressed chunks of random samples",
    "decode": "read from the page cache, check and decode into memory",
    "transfer": "copy to the GPU and make floats",
    "convert": "make floats",
    "recipes": "draw how to change samples",
    "augment": "change samples on the device",
    "step": "forward, backward, optimiser; data on the device",
    "convolutions": "the network's convolutions alone, forward and backward",
}
START_UP = "from the command's start to the end of the first step"


def bench_lines(result: BenchResult) -> Iterator[Any]:
    """Show what was measured, the stages and modes as tables, then what is recommended."""
    volumes = f" at side {result.side}" if len(result.modes) > 1 else ""
    yield (
        f"{result.target} from {', '.join(result.inputs)}{volumes}, batches of {result.batch_size}, "
        f"{result.precision} on {result.device}; {result.training_samples} training samples, measured with "
        f"{result.measured_samples} of them."
    )
    yield stage_table(result)
    yield mode_table(result)
    if any(mode.is_predicted for mode in result.modes):
        yield (
            "* predicted: there are no copies at this side, so the volumes were read in their place, and the bytes are "
            f"those of {result.projected_copies} copies of every volume at most. Make them with: "
            f"mm precompute-augs --copies {result.projected_copies} --side {result.side}"
        )
    yield "Recommended: " + " ".join(choice.option for choice in result.choices)
    for choice in result.choices:
        yield f"{choice.setting}: {choice.reason}."
    if len(result.modes) == 1:
        yield result.recommendation.reason
    yield result.recommendation.advice


def stage_table(result: BenchResult) -> PlainTable:
    """Show how fast each stage is by itself."""
    rows = [("start-up", START_UP, "", start_up_in_words(result.start_up))]
    rows += [
        (stage.name, WHAT_STAGES_DO[stage.name], f"{stage.samples_per_second:,.1f}", _remark(stage, result))
        for stage in result.stages
    ]
    return plain_table(("stage", "what it does", "samples/s", ""), rows, whole=["stage"], right=["samples/s"])


def mode_table(result: BenchResult) -> PlainTable:
    """Show each mode to augment from end to end, and what it costs."""
    first = "augment" if len(result.modes) > 1 else "end to end"
    numbers = ("samples/s", "device waits", "one epoch", "copies on disk")
    rows = [
        (
            mode.mode + ("*" if mode.is_predicted else ""),
            f"{mode.sustained:,.1f}" + (" (disk)" if mode.is_held_by_disk else ""),
            f"{mode.wait_share:.1%}",
            as_duration(result.training_samples / mode.sustained),
            _cost(mode),
        )
        for mode in result.modes
    ]
    return plain_table((first, *numbers), rows, whole=[first], right=numbers)


def start_up_in_words(start_up: StartUp) -> str:
    """Return the seconds of a start and of its parts.

    >>> start_up_in_words(StartUp(imports=2.5, plan=0.5, cache=1.0, first_step=4.0))
    '8.0 s: imports 2.5, plan 0.5, cache 1.0, first step 4.0'
    """
    parts = (f"{name.replace('_', ' ')} {seconds:,.1f}" for name, seconds in asdict(start_up).items())
    return f"{start_up.seconds:,.1f} s: {', '.join(parts)}"


def _remark(stage: Stage, result: BenchResult) -> str:
    if stage.megabytes_per_second is not None:
        state = {"cold": "cold", "warm": "page cache, not the disk", "unknown": "perhaps the page cache"}
        return f"{stage.megabytes_per_second:,.0f} MB/s, {state[stage.cache or 'unknown']}"
    if stage.peak_bytes is not None:
        whose = "its" if result.device.startswith("cuda") else "the"
        limit = result.share_of_conv_limit
        share = "" if limit is None else f"{limit:.0%} of the convolutions' limit; "
        return f"{share}up to {as_amount(stage.peak_bytes)} of {whose} memory"
    return ""


def _cost(mode: ModeResult) -> str:
    if not mode.copies_bytes:
        return "none"
    return ("up to " if mode.copies_are_projected else "") + as_amount(mode.copies_bytes)
