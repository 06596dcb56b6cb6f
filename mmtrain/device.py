"""Where a process computes."""

import torch

from mmtrain.config.execution import require_device_name
from mmtrain.errors import TrainError


def choose_device(wanted: str) -> torch.device:
    """Return where this process computes: ``auto`` takes a GPU if there is one, ``cuda:1`` is one particular GPU.

    Raises
    ------
    TrainError
        A GPU is asked for and is not there, or no device has such a name.
    """
    require_device_name(wanted)
    is_gpu = wanted.startswith("cuda")
    if is_gpu and not torch.cuda.is_available():
        raise TrainError(f"--device {wanted} was asked for, but PyTorch finds no GPU here. Use --device cpu or auto.")
    _, _, number = wanted.partition(":")
    if number and int(number) >= torch.cuda.device_count():
        there = ", ".join(f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count()))
        raise TrainError(f"--device {wanted} was asked for, and this machine has {there}.", "Name one of them.")
    if number:
        return torch.device("cuda", int(number))
    use_gpu = wanted != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_gpu else "cpu")


def require_no_number(wanted: str) -> None:
    """Refuse one particular GPU where several processes train: each takes the GPU that its rank says.

    Raises
    ------
    TrainError
        Says how GPUs are chosen then.
    """
    if ":" in wanted:
        raise TrainError(
            f"--device {wanted} names one GPU, and with several each process takes the one of its own number.",
            "Give --device cuda, and choose among this machine's GPUs with CUDA_VISIBLE_DEVICES, e.g. "
            "CUDA_VISIBLE_DEVICES=1,3 mm train --gpus 2.",
        )


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done all that it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
