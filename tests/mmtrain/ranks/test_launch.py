import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

import mmtrain.ranks.launch as launching
from mmtrain.errors import TrainError
from mmtrain.ranks.launch import launch_ranks, require_devices
from mmtrain.ranks.watchdog import describe_hang


def failure(folder: Path, rank: int, exitcode: int, message: str = "", second: int = 0) -> ProcessFailure:
    """Return what torchrun knows of a rank that failed; with a message, the rank has left it, ours without a type."""
    path = folder / f"{rank}.json"
    if message:
        is_ours = "Error: " not in message
        told = {"message": message, "is_for_users": is_ours, "extraInfo": {"timestamp": str(second)}}
        path.write_text(json.dumps({"message": told}))
    return ProcessFailure(local_rank=rank, pid=100 + rank, exitcode=exitcode, error_file=str(path))


LOST = "RuntimeError: Connection closed by peer"


@pytest.mark.parametrize(
    ("failures", "told"),
    [
        (
            [(1, LOST, 10), (1, "Row 3 of t1/64 was never stored.", 11)],
            "Row 3 of t1/64 was never stored.",
        ),
        ([(1, LOST, 10), (-signal.SIGKILL, "", 0)], "Rank 1 of 2 was killed by SIGKILL. Did its memory run out?"),
        ([(-signal.SIGTERM, "", 0), (1, "Rank 0 of 2 hangs.", 11)], "Rank 0 of 2 hangs."),
        ([(1, "ValueError: odd", 12), (1, LOST, 13)], "Rank 0 of 2 failed: ValueError: odd"),
        ([(1, "ValueError: odd", 12), (-signal.SIGTERM, "", 0)], "Rank 0 of 2 failed: ValueError: odd"),
        ([(3, "", 0)], "Rank 0 of 2 failed: "),
    ],
    ids=["store", "killed", "hangs", "first", "ended by torchrun", "unknown"],
)
def test_the_cause_is_told_and_not_its_effects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: list[tuple[int, str, int]], told: str
) -> None:
    known = {
        rank: failure(tmp_path, rank, code, message, second) for rank, (code, message, second) in enumerate(failures)
    }

    def fail(*_: Any) -> None:
        raise ChildFailedError("mm", known)

    monkeypatch.setattr(launching, "launch_agent", fail)
    with pytest.raises(TrainError) as caught:
        launch_ranks(["train"], 2, torch.device("cpu"))
    assert str(caught.value).startswith(told) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("num_gpus", "num_ranks", "wanted", "expected"),
    [
        (0, 2, "auto", "finds no GPU here. With --device cpu, --gpus 2 processes share the processor"),
        (0, 0, "cpu", "--gpus must be at least 1, got 0"),
        (0, 2, "cuda", "--device cuda was asked for"),
        (2, 4, "auto", "--gpus 4 was asked for, and this machine has 2"),
        (2, 4, "cuda", "--gpus 4 was asked for, and this machine has 2"),
        (2, 2, "cuda:1", r"names one GPU, .* CUDA_VISIBLE_DEVICES=1,3 mm train --gpus 2"),
        (0, 2, "cpu", "cpu"),
        (2, 2, "auto", "cuda"),
        (2, 5, "cpu", "cpu"),
    ],
)
def test_ranks_need_a_gpu_each_unless_the_processor_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, num_gpus: int, num_ranks: int, wanted: str, expected: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: num_gpus > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: num_gpus)
    if expected in ("cpu", "cuda"):
        assert require_devices(num_ranks, wanted) == torch.device(expected)
    else:
        with pytest.raises(TrainError, match=expected):
            require_devices(num_ranks, wanted)


@pytest.mark.parametrize(
    ("beats", "silent", "expected"),
    [
        ([5, 5, 4], [], "Rank 2 of 3 hangs: no rank began a batch for 90 s, and it is behind the others."),
        ([3, 5, 4], [], "Ranks 0, 2 of 3 hang: no rank began a batch for 90 s, and they are behind the others."),
        ([5, 5], [0], "Rank 0 of 2 hangs: no rank began a batch for 90 s, and it does not answer."),
        ([5, 4], [0], "Rank 0 of 2 hangs: no rank began a batch for 90 s, and it does not answer."),
        ([5, 5, 5], [0, 1], "Ranks 0, 1 of 3 hang: no rank began a batch for 90 s, and they do not answer."),
        (
            [5, 5],
            [],
            "No rank began a batch for 90 s, and none is behind the others. "
            "If a batch takes so long here, give a larger --hang-seconds.",
        ),
    ],
)
def test_a_hang_is_described_by_what_is_known_of_it(beats: list[int], silent: list[int], expected: str) -> None:
    assert describe_hang(beats, silent, 90) == expected
