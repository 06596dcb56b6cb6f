"""What one rank does in the tests: run in a process of its own, in an environment as torchrun would set it.

The process that starts it puts the arguments of `main` into the global variable `GIVEN`.
"""

import gc
import os
import pickle
import signal
import time
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import mmtrain.epoch
import mmtrain.models.networks
import mmtrain.train as training
from mmdata.store.schema import StudyLayout
from mmtrain.observer import TrainingObserver
from mmtrain.page.live import without_page
from mmtrain.ranks.group import join_ranks
from mmtrain.ranks.norm import CpuSyncBatchNorm, synchronise
from mmtrain.run import find_run
from mmtrain.state import EpochEntry
from mmtrain.stopping import TrainingStopped

CPU = torch.device("cpu")


def train_runs(
    root: Path,
    runs: list[Path],
    *,
    resumed: bool = False,
    stop_at: tuple[int, int] | None = None,
    signalled: int = 0,
    networks: Path | None = None,
) -> list[dict[str, Any]]:
    """Train runs that have been begun, one after the other; return their metrics, {} for one that was stopped.

    Parameters
    ----------
    stop_at
        Epoch and step in which SIGTERM comes.
    signalled
        The only rank that gets it.
    networks
        Folder of further networks.
    """
    if networks is not None:
        mmtrain.models.networks.__path__.append(str(networks))
    results = []
    for port, run in zip(os.environ["PORTS"].split(), runs, strict=True):
        os.environ["MASTER_PORT"] = port  # ranks meet again for each
        results.append(_train_run(root, run, resumed, stop_at if _rank() == signalled else None))
    return results


def _train_run(root: Path, run: Path, resumed: bool, stop_at: tuple[int, int] | None) -> dict[str, Any]:
    directory, config = find_run(run.parent, run.name)
    take_step, steps = mmtrain.epoch.take_step, Counter[int]()

    def take_step_and_signal(task: Any, learner: Any, portion: Any, batch: Any, epoch: int) -> torch.Tensor:
        steps[epoch] += portion.ends_step
        if (epoch, steps[epoch]) == stop_at and portion.ends_step:
            os.kill(os.getpid(), signal.SIGTERM)
        return take_step(task, learner, portion, batch, epoch)

    mmtrain.epoch.take_step = take_step_and_signal
    try:
        return training.train(directory, StudyLayout(root), config, resumed=resumed, keep_page=without_page)
    except TrainingStopped:
        return {}
    finally:
        mmtrain.epoch.take_step = take_step


def normalise(
    shares: list[torch.Tensor],
    weights: list[torch.Tensor],
    momentum: float | None,
    affine: bool,
    state: dict[str, torch.Tensor],
) -> dict[str, Any]:
    """Give this rank's share of a batch to a batch norm over all ranks, twice, and return all that comes of it."""
    with join_ranks(CPU, hang_seconds=60) as ranks:
        network = torch.nn.Sequential(
            torch.nn.BatchNorm3d(shares[0].shape[1], momentum=momentum, affine=affine).double()
        )
        network.load_state_dict(state)
        synchronise(network, CPU)
        assert isinstance(network[0], CpuSyncBatchNorm)
        share = shares[ranks.rank].clone().requires_grad_()
        network(share + 1)
        outputs = network(share)
        (outputs * weights[ranks.rank]).sum().backward()
        gradients = [parameter.grad for parameter in network.parameters()]
        for gradient in gradients:
            dist.all_reduce(gradient)
        return {
            "outputs": outputs.detach(),
            "input_gradient": share.grad,
            "gradients": gradients,
            "state": dict(network.state_dict()),
            "evaluated": network.eval()(share).detach(),
        }


def talk(flags: list[list[bool]], parts: list[torch.Tensor]) -> dict[str, Any]:
    """Return what this rank hears of the others."""
    with join_ranks(CPU, hang_seconds=60) as ranks:
        ranks.any(False)
        return {
            "place": (ranks.rank, ranks.size, ranks.leads),
            "any": ranks.any(*flags[ranks.rank]),
            "sum": ranks.sum(torch.tensor([1.0, float(ranks.rank)])).tolist(),
            "gathered": ranks.gather(parts[ranks.rank]),
        }


def leave() -> bool:
    """Leave the others, let go of all that held the groups, and return whether these are still there."""
    with join_ranks(CPU, hang_seconds=60) as ranks:
        network = DistributedDataParallel(torch.nn.Linear(2, 1))
        network(torch.ones(3, 2)).sum().backward()
        groups = [weakref.ref(dist.group.WORLD), weakref.ref(ranks.control)]
    del network, ranks
    gc.collect()
    return all(group() is not None for group in groups)


def hang(stopped: int, behind: int, seconds: float) -> None:
    """Meet the others, then wait for a rank that has stopped, or that began a batch less."""
    with join_ranks(CPU, hang_seconds=seconds) as ranks:
        for _ in range(3 - (ranks.rank == behind)):
            ranks.heartbeat.beat()
        ranks.any(False)
        time.sleep(0.5)  # the counts are known to all
        if ranks.rank == stopped:
            os.kill(os.getpid(), signal.SIGSTOP)
        if ranks.rank != behind:
            ranks.any(False)
        while True:
            signal.pause()


def measure_memory(root: Path, run: Path) -> list[float]:
    """Train, and return the resident memory in MB after each epoch."""
    directory, config = find_run(run.parent, run.name)
    sizes: list[float] = []
    me = psutil.Process()

    class Measure(TrainingObserver):
        def on_epoch(self, entry: EpochEntry) -> None:
            sizes.append(me.memory_info().rss / 1e6)

    training.train(directory, StudyLayout(root), config, observers=[Measure()], keep_page=without_page)
    return sizes


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def main(job: str, arguments: dict[str, Any], environment: dict[str, str], path: Path) -> None:
    """Do a job; leave what it returns, or its error, at a path."""
    os.environ.update(environment)
    torch.set_num_threads(1)
    result: Any
    try:
        result = globals()[job](**arguments)
    except Exception as error:
        result = RuntimeError(f"{type(error).__name__}: {error}")
    partial = path.with_suffix(".part")
    partial.write_bytes(pickle.dumps(result))
    partial.replace(path)


if __name__ == "__rank__":
    main(**globals()["GIVEN"])
