"""The batches that a run is measured with.

Terms
-----
mode  how training samples are augmented: the setting `augment` of a run.
lap   one pass over the samples that are measured with; they stay in the page cache, so that all modes meet the same,
      and the disk is a stage of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice

from mmtrain.config.augmentation import AugmentMode
from mmtrain.config.run import RunConfig
from mmtrain.data.portions import Portion
from mmtrain.data.stream import StoredBatch, Stores, stream_batches
from mmtrain.task import Task, training_portions

MODES: tuple[AugmentMode, ...] = ("none", "precomputed", "on-device", "hybrid")
MODES_WITH_COPIES: tuple[AugmentMode, ...] = ("precomputed", "hybrid")
EPOCH = 1
_LEAST_STEPS_STREAMED = 512


def modes_of(config: RunConfig) -> tuple[AugmentMode, ...]:
    """Return the modes to augment that a run has; there is nothing to augment without volumes."""
    return MODES if config.data.volume_inputs else ("none",)


def in_mode(task: Task, mode: AugmentMode) -> Task:
    """Return a task that augments in one mode; without copies, the volumes themselves stand in for them."""
    has_copies = mode in MODES_WITH_COPIES
    stores = task.stores if has_copies else Stores(task.stores.originals, {}, 0)
    return replace(task, config=task.config.changed(augment=mode, copies=stores.num_copies), stores=stores)


def first_batch(task: Task) -> list[Portion]:
    """Return the portions of one step."""
    return training_portions(task, EPOCH)[: task.config.optimisation.accumulate]


def hold(task: Task, portion: Portion) -> StoredBatch:
    """Return a batch as it comes from the stores, to be used again and again."""
    return next(read_batches(task, [portion]))


def laps(task: Task) -> list[Portion]:
    """Return portions for a while: of the same epoch again and again."""
    lap = training_portions(task, EPOCH)
    num_laps = -(-_LEAST_STEPS_STREAMED * task.config.optimisation.accumulate // len(lap))
    return list(chain.from_iterable(islice(iter(lambda: lap, None), num_laps)))


def read_batches(task: Task, portions: Sequence[Portion]) -> Iterator[StoredBatch]:
    """Read batches into memory of the host."""
    return stream_batches(
        task.stores,
        [portion.request for portion in portions],
        prefetch_bytes=task.config.execution.prefetch_bytes,
        pin_memory=task.device.type == "cuda",
    )
