"""Write a checkpoint as the reference study's trainer writes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mmbase.files import replace_file
from mmtrain.published.checkpoint import BLOCKS, CURVES, INPUTS_KEY, PublishedCheckpoint
from mmtrain.published.network import network_of
from mmtrain.published.trained_inputs import LEARNING_RATE


def write_checkpoint(path: Path, checkpoint: PublishedCheckpoint) -> None:
    """Write a checkpoint; it replaces what is there.

    The optimiser's and the gradient scaler's states are those of a training that has not begun: a trainer that restores
    them takes its first steps as at the start.
    """
    content: dict[str, Any] = {f"{block}_state_dict": _block(checkpoint.tensors, block) for block in BLOCKS}
    parameters = network_of(checkpoint).parameters()
    content |= {
        "optimizer_state_dict": torch.optim.Adam(parameters, lr=LEARNING_RATE).state_dict(),
        "scaler_state_dict": torch.amp.GradScaler("cpu").state_dict(),
        "epoch": checkpoint.epoch or 0,
        INPUTS_KEY: list(checkpoint.inputs),
        **{f"list_of_{name}_per_epoch": list(checkpoint.curves.get(name, ())) for name in CURVES},
    }
    with replace_file(path) as file:
        torch.save(content, file)


def _block(tensors: Mapping[str, torch.Tensor], block: str) -> dict[str, torch.Tensor]:
    prefix = f"{block}."
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
