"""What auto has become where a run began, and where it is resumed."""

import json
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
import torch

import mmtrain.settled
from mmtrain.errors import TrainError
from mmtrain.precision import ARITHMETICS
from mmtrain.ranks.group import ALONE, Ranks
from mmtrain.run import RunDirectory, find_run
from mmtrain.settled import settle_precision
from mmtrain.train import train
from tests.mmtrain.conftest import StopAfter

GPU = torch.device("cuda")


@dataclass(frozen=True)
class Answers:
    """Ranks that have chosen; one of them asks."""

    leads: bool
    chosen: tuple[str, ...]

    def gather(self, part: torch.Tensor) -> torch.Tensor:
        assert part.tolist()[0] in [ARITHMETICS.index(cast(Any, name)) for name in self.chosen]
        return torch.tensor([ARITHMETICS.index(cast(Any, name)) for name in self.chosen])


def precision_on_disk(run: RunDirectory) -> str:
    precision: str = json.loads(run.config.read_text())["train"]["precision"]
    return precision


@pytest.fixture
def on_gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the GPU of this process have a compute capability."""
    return lambda *capability: monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)


def test_a_run_goes_on_in_what_it_began_with_wherever_it_is_resumed(tiny: Any, on_gpus: Any) -> None:
    run = tiny.begin(inputs=("connectivity",))
    on_gpus(8, 0)
    began = settle_precision(run, tiny.configure(inputs=("connectivity",)), GPU, ALONE)
    assert began.optimisation.precision == precision_on_disk(run) == "bfloat16"
    on_gpus(7, 0)
    there = find_run(tiny.layout.runs, run.run_id)[1]
    with pytest.raises(TrainError, match="--precision bfloat16 needs a GPU of compute capability"):
        settle_precision(run, there, GPU, ALONE)
    on_gpus(9, 0)
    assert settle_precision(run, there, GPU, ALONE) == there == began


def test_an_old_run_of_auto_that_is_resumed_settles_then(tiny: Any) -> None:
    run = tiny.begin(inputs=("connectivity",), epochs=2)
    config = find_run(tiny.layout.runs, run.run_id)[1]
    with pytest.raises(KeyboardInterrupt):
        train(run, tiny.layout, config, observers=[StopAfter(1)])
    content = json.loads(run.config.read_text())
    assert content["train"]["precision"] == "float32"
    del content["train"]["precision"]
    run.config.write_text(json.dumps(content))
    train(run, tiny.layout, find_run(tiny.layout.runs, run.run_id)[1], resumed=True)
    assert precision_on_disk(run) == "float32"
    assert json.loads(run.config.read_text()).get("changes") is None, "auto that became something is no change"


@pytest.mark.parametrize("began_in", ["tf32", "bfloat16", "auto"])
def test_a_run_can_be_finished_where_its_precision_is_not_and_its_record_stays(tiny: Any, began_in: str) -> None:
    run = tiny.begin(inputs=("connectivity",), epochs=2)
    config = find_run(tiny.layout.runs, run.run_id)[1]
    with pytest.raises(KeyboardInterrupt):
        train(run, tiny.layout, config, observers=[StopAfter(1)])
    content = json.loads(run.config.read_text())
    content["train"]["precision"] = began_in
    run.config.write_text(json.dumps(content))
    config = find_run(tiny.layout.runs, run.run_id)[1]
    assert train(run, tiny.layout, config, finishing=True)["epochs"] == 1
    assert precision_on_disk(run) == began_in


@pytest.mark.parametrize(
    ("chosen", "common"),
    [
        (("bfloat16", "bfloat16"), "bfloat16"),
        (("bfloat16", "float32"), "float32"),
        (("float32", "bfloat16"), "float32"),
    ],
)
def test_ranks_on_different_gpus_compute_in_what_all_of_them_have(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, chosen: tuple[str, ...], common: str
) -> None:
    run, config = tiny.begin(inputs=("connectivity",)), tiny.configure(inputs=("connectivity",))
    for rank in (1, 0):
        monkeypatch.setattr(mmtrain.settled, "resolve_precision", lambda *_, of_rank=chosen[rank]: of_rank)
        ranks = cast(Ranks, Answers(leads=rank == 0, chosen=chosen))
        settled = settle_precision(run, config, GPU, ranks)
        assert settled == replace(config, optimisation=replace(config.optimisation, precision=common))
        assert precision_on_disk(run) == ("auto" if rank else common), "the rank that leads writes"
