"""Start the ranks of one run on this machine, by torchrun's own agent, and say which of them failed and why.

Source: https://docs.pytorch.org/docs/stable/elastic/quickstart.html.
"""

import logging
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, launch_agent

from mmtrain.device import choose_device, require_no_number
from mmtrain.errors import TrainError
from mmtrain.ranks.environment import LAUNCHED
from mmtrain.ranks.failure import read_message


def require_devices(num_ranks: int, wanted: str) -> torch.device:
    """Return the kind of device that ranks compute on, if this machine has one for each.

    Parameters
    ----------
    wanted
        cuda, cpu or auto.

    Raises
    ------
    TrainError
        There are fewer GPUs, ranks on the processor were not asked for, or one particular GPU is.
    """
    if num_ranks < 1:
        raise TrainError(f"--gpus must be at least 1, got {num_ranks}.")
    require_no_number(wanted)
    device = choose_device(wanted)
    if device.type == "cpu" and wanted == "auto":
        raise TrainError(
            f"PyTorch finds no GPU here. With --device cpu, --gpus {num_ranks} processes share the processor."
        )
    if device.type == "cuda" and num_ranks > torch.cuda.device_count():
        raise TrainError(f"--gpus {num_ranks} was asked for, and this machine has {torch.cuda.device_count()}.")
    return device


def launch_ranks(arguments: Sequence[str], num_ranks: int, device: torch.device) -> None:
    """Run a command line of mm in every rank, until all have ended.

    Parameters
    ----------
    arguments
        Behind `mm`.

    Raises
    ------
    TrainError
        A rank failed; names it and says why.
    """
    with tempfile.TemporaryDirectory() as folder, _torchrun_silenced(), _environment_for(num_ranks, device):
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_ranks,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            local_addr="localhost",
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        try:
            launch_agent(config, sys.executable, ["-P", "-m", "mmcli", *arguments])
        except ChildFailedError as error:
            failures = error.failures
            cause = min(failures, key=lambda rank: _order(failures[rank]))
            raise TrainError(_explain(cause, failures[cause], num_ranks)) from error
        except SignalException:
            return  # the ranks were told, and have written a checkpoint


def _order(failure: ProcessFailure) -> tuple[int, int]:
    """Return what puts causes before their effects: our own errors, then kills, then the rest in the order of time.

    Ranks fail when another ends, and torchrun ends those that are left.
    """
    is_kill = failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM
    _, is_ours = read_message(failure.message)
    return 0 if is_ours else 1 if is_kill else 2, failure.timestamp


def _explain(rank: int, failure: ProcessFailure, num_ranks: int) -> str:
    if failure.exitcode < 0:
        return f"Rank {rank} of {num_ranks} was killed by {failure.signal_name()}. Did its memory run out?"
    message, is_ours = read_message(failure.message)
    return (
        message if is_ours else f"Rank {rank} of {num_ranks} failed: {message or f'it ended with {failure.exitcode}'}"
    )


@contextmanager
def _torchrun_silenced() -> Iterator[None]:
    """Keep pages of torchrun's own reports off the screen: we say it in one line."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def _environment_for(num_ranks: int, device: torch.device) -> Iterator[None]:
    """Set what ranks on one machine need, where the user has not."""
    wanted = {LAUNCHED: "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}  # its warnings come with pages of addresses
    if sys.platform == "linux":
        wanted["GLOO_SOCKET_IFNAME"] = "lo"
    if device.type == "cpu":
        wanted["OMP_NUM_THREADS"] = str(max(1, torch.get_num_threads() // num_ranks))
    ours = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
