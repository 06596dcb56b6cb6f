"""Augment batches on the device that trains, with recipes drawn again for every sample in every epoch.

A recipe is a pure function of (run seed, epoch, sample): neither its batch nor its rank matters. So a thread can draw
for the next batches while the device works, and a batch that comes without its changes gets the same ones.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice

import torch

from mmdata.augment.apply import BatchChanges, apply_changes, plan_changes
from mmdata.augment.recipe import Geometry, draw_geometries, draw_intensities
from mmtrain.config.run import RunConfig
from mmtrain.data.order import derive_seed
from mmtrain.data.stream import BatchRequest, StoredBatch

_BATCHES_AHEAD = 3


def draw_changes(config: RunConfig, sample_ids: Sequence[str], epoch: int) -> BatchChanges:
    """Draw what changes some samples in an epoch, counted from 1."""
    settings, data = config.augmentation.augmentation, config.data
    seed = derive_seed(config.optimisation.seed, "on-device")
    moves = config.augmentation.augment == "on-device"  # a precomputed copy has been moved already
    geometries = draw_geometries(settings, seed, sample_ids, epoch) if moves else [Geometry()] * len(sample_ids)
    intensities = draw_intensities(settings, seed, sample_ids, epoch, data.volume_inputs)
    return plan_changes(geometries, intensities, data.side, config.augmentation.extent_mm)


def draw_ahead(
    batches: Iterable[StoredBatch],
    requests: Sequence[BatchRequest],
    draw: Callable[[BatchRequest], BatchChanges],
    device: torch.device,
) -> Iterator[StoredBatch]:
    """Yield batches with their changes, which a thread draws for the next batches meanwhile.

    Parameters
    ----------
    requests
        Of the batches, in their order.
    draw
        Returns the changes of the samples of a request.
    device
        Where the batches are changed. For a GPU the changes lie in page-locked memory, from which they are brought
        there without waiting for it.
    """

    def drawn(request: BatchRequest) -> BatchChanges:
        changes = draw(request)
        return changes.pinned() if device.type == "cuda" else changes

    waiting, drawer = iter(requests), ThreadPoolExecutor(1, "recipes", _on_own_gpu(device))
    coming = deque(drawer.submit(drawn, request) for request in islice(waiting, _BATCHES_AHEAD))
    try:
        for batch in batches:
            coming.extend(drawer.submit(drawn, request) for request in islice(waiting, 1))
            yield replace(batch, changes=coming.popleft().result())
    finally:
        drawer.shutdown(cancel_futures=True)


def augment_channels(channels_BCXYZ: torch.Tensor, changes: BatchChanges) -> torch.Tensor:
    """Return changed network input.

    Parameters
    ----------
    channels_BCXYZ
        From -1, the background, to 1; a channel for each of `config.data.volume_inputs`.
    changes
        Of the B samples.
    """
    return apply_changes(channels_BCXYZ.add(1.0).mul_(0.5), changes).mul_(2.0).sub_(1.0)


def _on_own_gpu(device: torch.device) -> Callable[[], None] | None:
    """Return what a thread does first, to lock pages for the GPU of this rank; by itself it would take the first one.

    Each thread has a GPU of its own that it uses, and `cuda` without a number is that of the thread that asks.
    """
    return partial(torch.cuda.set_device, torch.cuda.current_device()) if device.type == "cuda" else None
