import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mmtrain.checkpoint import (
    EpochPart,
    Progress,
    has_checkpoint,
    load_checkpoint,
    load_weights,
    previous_checkpoint,
    save_checkpoint,
    save_weights,
)
from mmtrain.errors import TrainError

PROGRESS = Progress(
    epoch=3,
    part=EpochPart(steps=5, loss_sum=1 / 7, num_samples=40, seconds=0.3),
    best_epoch=2,
    best_val_loss=0.1 + 0.2,
    history=[{"epoch": 1, "val": {"mae": 1 / 3}}],
)


def make(width: int = 4) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 1))
    return model, torch.optim.Adam(model.parameters(), lr=0.01)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> float:
    values = torch.randn(8, 3, generator=torch.Generator().manual_seed(seed))
    loss = model(values).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint after three steps."""
    model, optimizer = make()
    for seed in range(3):
        step(model, optimizer, seed)
    save_checkpoint(tmp_path / "last.safetensors", model, optimizer, PROGRESS)
    return tmp_path / "last.safetensors"


def test_training_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    model, optimizer = make()
    for seed in range(3):
        step(model, optimizer, seed)
    save_checkpoint(tmp_path / "c", model, optimizer, PROGRESS)
    other, other_optimizer = make()
    assert load_checkpoint(tmp_path / "c", other, other_optimizer) == PROGRESS
    for seed in range(3, 8):
        assert step(other, other_optimizer, seed) == step(model, optimizer, seed)
    assert all((a == b).all() for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_checkpoint_is_one_safetensors_file_that_any_program_reads(path: Path) -> None:
    names = set(load_file(path))
    assert {"model.0.weight", "model.1.running_mean", "optimizer.0.exp_avg", "optimizer.0.step"} <= names
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_progress_within_an_epoch_comes_back_to_the_last_bit(path: Path) -> None:
    restored = load_checkpoint(path, *make())
    assert restored == PROGRESS
    assert restored.part == EpochPart(steps=5, loss_sum=1 / 7, num_samples=40, seconds=0.3)


def test_a_bit_that_flips_anywhere_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    rng = random.Random(1)
    flips = [(place, bit) for place in range(header) for bit in rng.sample(range(8), 2)]
    flips += [(place, rng.randrange(8)) for place in range(header, len(whole), 2)]
    model, optimizer = make()
    for place, bit in flips:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        with pytest.raises(TrainError, match="cannot be used"):
            load_checkpoint(path, model, optimizer)


def save_twice(path: Path) -> list[dict[str, torch.Tensor]]:
    """Write a checkpoint after one epoch, and another a step later; return the weights of both."""
    model, optimizer = make()
    weights = []
    for epoch in (1, 2):
        step(model, optimizer, epoch)
        save_checkpoint(path, model, optimizer, Progress(epoch=epoch))
        weights.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
    return weights


def test_instead_of_a_damaged_checkpoint_the_one_before_is_used_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "last.safetensors"
    before, after = save_twice(path)
    model, optimizer = make()
    assert load_checkpoint(path, model, optimizer).epoch == 2
    assert all(torch.equal(model.state_dict()[name], after[name]) for name in after)
    assert not caplog.messages
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)
    assert load_checkpoint(path, model, optimizer).epoch == 1
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)
    assert optimizer.state_dict()["state"][0]["step"] == 1
    assert caplog.messages == [
        f"The checkpoint {path} cannot be used: its checksum does not match. The one before is used."
    ]


def test_two_damaged_checkpoints_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    save_twice(path)
    for each in (path, previous_checkpoint(path)):
        each.write_bytes(each.read_bytes()[:-9])
    with pytest.raises(TrainError, match=r"last\.previous\.safetensors cannot be used") as caught:
        load_checkpoint(path, *make())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("call", ["write_bytes", "save"])
def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    path = tmp_path / "last.safetensors"
    _, after = save_twice(path)

    def die(*_: object, **__: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"mmtrain.checkpoint.{call}", die)
    model, optimizer = make()
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, model, optimizer, Progress(epoch=3))
    assert has_checkpoint(path)
    assert load_checkpoint(path, model, optimizer).epoch == 2
    assert all(torch.equal(model.state_dict()[name], after[name]) for name in after)
    assert not caplog.messages


def test_the_state_of_a_fused_optimiser_keeps_the_strides_of_its_weights(tmp_path: Path) -> None:
    def make_conv() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(2)
        model = nn.Sequential(nn.Conv3d(3, 4, 3), nn.Conv3d(4, 2, 2)).to(memory_format=torch.channels_last_3d)
        return model, torch.optim.Adam(model.parameters(), lr=0.01, fused=True)

    def learn(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        volumes = torch.randn(2, 3, 5, 5, 5, generator=torch.Generator().manual_seed(seed))
        model(volumes).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    model, optimizer = make_conv()
    for seed in range(2):
        learn(model, optimizer, seed)
    save_checkpoint(tmp_path / "c", model, optimizer, PROGRESS)
    other, other_optimizer = make_conv()
    load_checkpoint(tmp_path / "c", other, other_optimizer)
    weight = other[0].weight
    assert not weight.is_contiguous()
    assert other_optimizer.state[weight]["exp_avg"].stride() == weight.stride()
    for seed in range(2, 5):
        learn(model, optimizer, seed)
        learn(other, other_optimizer, seed)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_checkpoint_is_refused(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TrainError, match=r"last\.safetensors cannot be used"):
        load_checkpoint(path, *make())


def test_a_checkpoint_of_another_model_is_refused(path: Path) -> None:
    with pytest.raises(TrainError, match="cannot be used") as caught:
        load_checkpoint(path, *make(width=5))
    assert "\n" not in str(caught.value)


def test_safetensors_of_another_program_are_refused(path: Path) -> None:
    save_file({"model.0.weight": torch.zeros(4, 3)}, path)
    with pytest.raises(TrainError, match="cannot be used"):
        load_checkpoint(path, *make())


def test_a_run_without_a_checkpoint_is_told_to_start_anew(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="no checkpoint yet"):
        load_checkpoint(tmp_path / "last.safetensors", *make())


def test_weights_come_back_as_they_were(tmp_path: Path) -> None:
    model, other = make()[0], make()[0]
    save_weights(tmp_path / "model.safetensors", model)
    load_weights(tmp_path / "model.safetensors", other)
    assert all((a == b).all() for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
