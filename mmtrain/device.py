"""Where a process computes."""

import torch

from mmtrain.errors import TrainError


def choose_device(wanted: str) -> torch.device:
    """Return where this process computes: ``auto`` takes a GPU if there is one.

    Raises
    ------
    TrainError
        A GPU is asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainError("--device cuda was asked for, but PyTorch finds no GPU here. Use --device cpu or auto.")
    use_gpu = wanted != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_gpu else "cpu")
