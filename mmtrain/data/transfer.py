"""Bring batches to a GPU while it computes with the one before.

Terms
-----
host buffer    page-locked memory that the stream reads into, and fills again once the next batch is asked for.
device buffer  memory of the GPU for one batch; there are two, in turns.
copying        the GPU's queue for copies; computing is the one that the network's work goes into.

Batch k + 1 is copied while the network works on batch k. Two rules keep that right:
a host buffer is given back only when its copy has ended, and a device buffer is overwritten only after all that the
network was asked to do before, which holds the last use of it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import cycle

import torch

from mmtrain.data.stream import StoredBatch

Buffers = dict[str, torch.Tensor]


def transfer_batches(batches: Iterable[StoredBatch], device: torch.device) -> Iterator[StoredBatch]:
    """Yield batches whose tensors are on the device, copied ahead; valid until the next one is asked for.

    Parameters
    ----------
    batches
        On the host, from `stream_batches`, each valid until the next is asked for; for a GPU in page-locked memory.
        Of a modality whose rows are all in the memory of the device, nothing is copied.
    device
        Where they are needed. For the processor they are passed on as they are.
    """
    if device.type == "cpu":
        yield from batches
        return
    copying = torch.cuda.Stream(device)
    try:
        yield from _copy_ahead(batches, device, copying)
    finally:
        torch.cuda.current_stream(device).wait_stream(copying)  # before anything else may have the device buffers


def _copy_ahead(
    batches: Iterable[StoredBatch], device: torch.device, copying: torch.cuda.Stream
) -> Iterator[StoredBatch]:
    turns = cycle([Buffers(), Buffers()])
    coming: StoredBatch | None = None
    for batch in batches:
        buffers = next(turns)
        _fit(buffers, batch, device)
        copying.wait_stream(torch.cuda.current_stream(device))
        here, coming = coming, _start_copy(batch, buffers, copying)
        if here is not None:
            yield here
        copying.synchronize()
    if coming is not None:
        yield coming


def _fit(buffers: Buffers, batch: StoredBatch, device: torch.device) -> None:
    for modality, stored in batch.stored.items():
        if modality not in buffers or len(buffers[modality]) < len(stored):
            buffers[modality] = torch.empty_like(stored, device=device)


def _start_copy(batch: StoredBatch, buffers: Buffers, copying: torch.cuda.Stream) -> StoredBatch:
    with torch.cuda.stream(copying):
        stored = {modality: buffers[modality][: len(host)] for modality, host in batch.stored.items()}
        for modality, host in batch.stored.items():
            if batch.was_read(modality):
                stored[modality].copy_(host, non_blocking=True)
    return replace(batch, stored=stored)
