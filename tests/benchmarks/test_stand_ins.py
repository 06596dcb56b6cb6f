"""The learned stand-ins that zeros are measured against."""

from itertools import combinations

import pytest
import torch

from benchmarks.stand_ins import LearnedFusionNet, learned_stand_ins
from mmtrain.models.networks.fusion import FusionNet
from mmtrain.models.registry import load_architecture

SETTINGS = {"side": 8, "channels": (2, 4), "present": (0, 1), "num_edges": 6, "num_features": 3, "num_outputs": 2}
SUBSETS = [subset for size in range(1, 5) for subset in combinations(range(4), size)]
BATCH = 5


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = ((BATCH, 2, 8, 8, 8), (BATCH, 6), (BATCH, 3))
    volumes, edges, features = (torch.randn(shape, generator=generator) for shape in shapes)
    return volumes, edges, features


@pytest.fixture
def learned() -> LearnedFusionNet:
    torch.manual_seed(1)
    return LearnedFusionNet(num_volumes=2, **SETTINGS).eval()


def given(subset: tuple[int, ...]) -> torch.Tensor:
    return torch.tensor([index in subset for index in range(4)]).expand(BATCH, -1)


@pytest.mark.parametrize("subset", SUBSETS)
def test_untrained_they_give_what_zeros_give(
    learned: LearnedFusionNet, inputs: tuple[torch.Tensor, ...], subset: tuple[int, ...]
) -> None:
    zeros = FusionNet(**SETTINGS).eval()
    zeros.load_state_dict({name: of for name, of in learned.state_dict().items() if not name.startswith("absent")})
    torch.testing.assert_close(learned(*inputs, given(subset)), zeros(*inputs, given(subset)))


@pytest.mark.parametrize("subset", SUBSETS)
def test_what_is_missing_is_learnt_and_nothing_else_is(
    learned: LearnedFusionNet, inputs: tuple[torch.Tensor, ...], subset: tuple[int, ...]
) -> None:
    learned(*inputs, given(subset)).sum().backward()
    changed = [bool(of.grad is not None and of.grad.abs().sum() > 0) for of in learned.absent_blocks]
    assert changed == [2 not in subset, 3 not in subset, not {0, 1} & set(subset)]
    volumes = learned.absent_volumes.grad
    of_volumes = [False, False] if volumes is None else [bool(one) for one in volumes != 0]
    assert of_volumes == [0 not in subset and 1 in subset, 1 not in subset and 0 in subset]


def test_the_network_is_exchanged_while_it_is_asked_for() -> None:
    kept = load_architecture("fusion")
    with learned_stand_ins():
        assert load_architecture("fusion").build is not kept.build
    assert load_architecture("fusion") is kept
