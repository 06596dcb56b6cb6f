"""Which mode to augment suits a machine, decided from what was measured there; and what holds it back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mmdata.execution.capacity import as_gb
from mmtrain.bench.stages import Stage, StageName
from mmtrain.config.augmentation import AugmentMode

Bottleneck = Literal["device", "decode", "disk"]
CLOSE = 0.95
"""Ways that are at least this share as fast as the fastest count as equally fast."""
WAITING = 0.05
"""A device that waits for a larger share of its time is held back by what feeds it."""
AMPLE = 2.0
"""Decoding that is so many times as fast as the whole is not what the device waits for."""
_PREFERENCE: tuple[AugmentMode, ...] = ("on-device", "hybrid", "precomputed")
"""Among modes that are equally fast: no copies on disk and new variation in every epoch first, neither last."""
_SMALLER = "a new study with volumes.dtype = uint8 halves what is read"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModeResult:
    """What one mode to augment gives on this machine, and what it costs."""

    mode: AugmentMode
    samples_per_second: float
    """From end to end, chunks in the page cache."""
    wait_share: float
    """Share of the time that the device waited for data."""
    is_predicted: bool
    """There are no copies at this side, so it was measured with the volumes in their place."""
    copies_bytes: int
    """What its copies take on the disk."""
    copies_are_projected: bool
    """They do not exist, and `copies_bytes` is what they would take at most."""
    read_bytes: int
    """Compressed bytes that its epochs read over and over: volumes and copies."""
    stays_in_memory: bool
    """These fit into the memory that is free, so that the disk is asked once."""
    disk_samples_per_second: float | None
    """What the disk gives; None: not known."""

    @property
    def sustained(self) -> float:
        """Samples a second over many epochs: the disk's, where that is slower and is asked again and again."""
        if self.stays_in_memory or self.disk_samples_per_second is None:
            return self.samples_per_second
        return min(self.samples_per_second, self.disk_samples_per_second)

    @property
    def is_held_by_disk(self) -> bool:
        """Whether the disk is what limits it."""
        return self.sustained < self.samples_per_second


@dataclass(frozen=True, kw_only=True, slots=True)
class Recommendation:
    """A mode to augment, and why."""

    mode: AugmentMode
    reason: str
    bottleneck: Bottleneck
    advice: str
    """What holds the run back, and what would help."""


def recommend(modes: Sequence[ModeResult], stages: Mapping[StageName, Stage]) -> Recommendation:
    """Choose among the modes that augment the one with most samples a second.

    Of those within 5 % of it, the one that needs no copies on disk and differs in every epoch.
    """
    of = {result.mode: result for result in modes}
    choices = [of[mode] for mode in _PREFERENCE if mode in of]
    if not choices:
        (only,) = modes
        return _recommendation(only, "There is nothing to augment: none of the inputs is a volume.", stages)
    fastest = max(choices, key=lambda result: result.sustained)
    chosen = next(result for result in choices if result.sustained >= CLOSE * fastest.sustained)
    return _recommendation(chosen, _reason(chosen, fastest, choices), stages)


def as_amount(num_bytes: float) -> str:
    """Return a number of bytes in the unit that people would use.

    >>> as_amount(3_210_000), as_amount(4.2e9)
    ('3.2 MB', '4.20 GB')
    """
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes < 1e9 else as_gb(num_bytes)


def _recommendation(chosen: ModeResult, reason: str, stages: Mapping[StageName, Stage]) -> Recommendation:
    bottleneck = find_bottleneck(chosen, stages)
    return Recommendation(
        mode=chosen.mode, reason=reason, bottleneck=bottleneck, advice=_advise(bottleneck, chosen, stages)
    )


def find_bottleneck(chosen: ModeResult, stages: Mapping[StageName, Stage]) -> Bottleneck:
    """Return what limits a mode: the disk, the decoding, or the device that computes."""
    if chosen.is_held_by_disk:
        return "disk"
    is_slow = "decode" in stages and stages["decode"].samples_per_second < AMPLE * chosen.samples_per_second
    return "decode" if chosen.wait_share > WAITING and is_slow else "device"


def _reason(chosen: ModeResult, fastest: ModeResult, choices: Sequence[ModeResult]) -> str:
    throughput = f"{chosen.sustained:,.1f} samples/s"
    if chosen is not fastest:
        gain = "needs no copies on disk and varies" if not chosen.copies_bytes else "varies"
        return (
            f"{chosen.mode} ({throughput}) is within 5 % of {fastest.mode} ({fastest.sustained:,.1f}), and it {gain} "
            "again in every epoch."
        )
    others = [result for result in choices if result is not chosen]
    against = ", ".join(f"{result.mode} {result.sustained:,.1f}" for result in others)
    predicted = "is predicted to be" if chosen.is_predicted else "is"
    cost = f"; its copies take {as_amount(chosen.copies_bytes)}" if chosen.copies_bytes else ""
    free = "" if chosen.copies_bytes else ", needs no copies on disk and differs in every epoch"
    return f"{chosen.mode} {predicted} the fastest mode that augments ({throughput}; {against}){free}{cost}."


def _advise(bottleneck: Bottleneck, chosen: ModeResult, stages: Mapping[StageName, Stage]) -> str:
    match bottleneck:
        case "disk":
            return (
                f"The disk is the bottleneck: {as_amount(chosen.read_bytes)} do not fit into free memory, and it "
                f"gives {chosen.sustained:,.1f} samples/s. Put the stores on a local disk, or use a machine with more "
                f"memory; {_SMALLER}."
            )
        case "decode":
            return (
                f"The decoding is the bottleneck: the device waits {chosen.wait_share:.0%} of the time, and reading "
                f"and decoding alone give {stages['decode'].samples_per_second:,.1f} samples/s. More processor cores "
                f"help; so does a new study with volumes.codec = lz4, if this has another; {_SMALLER}."
            )
        case "device":
            waits = f"it waits for data {chosen.wait_share:.1%} of the time"
            if chosen.wait_share <= WAITING or "decode" not in stages:
                return f"The device is the bottleneck, as it should be: {waits}."
            ratio = stages["decode"].samples_per_second / chosen.samples_per_second
            return (
                f"The device is the bottleneck: {waits}, but reading and decoding alone are {ratio:.0f} times as fast."
            )
