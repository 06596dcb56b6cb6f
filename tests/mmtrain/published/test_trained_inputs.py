"""Which inputs a checkpoint was trained on is told by its weights, or said to be unclear."""

import math
from collections.abc import Mapping

import pytest
import torch
from torch.nn import functional

from mmtrain.models.networks import fusion
from mmtrain.models.protocol import NetworkShape
from mmtrain.published.trained_inputs import ABSENT_SHARE, KEPT_SHARE, find_trained_inputs, steps_to_fade
from tests.mmtrain.published.checkpoints import LONG, SHORT, Described, make_weights

SETS = [
    ("flair", "t1", "dwi", "connectivity", "metadata"),
    ("flair", "t1"),
    ("dwi",),
    ("connectivity",),
    ("dwi", "connectivity"),
    ("metadata",),
]


@pytest.mark.parametrize("inputs", SETS, ids="+".join)
def test_every_input_is_told_from_those_that_were_not_there(inputs: tuple[str, ...]) -> None:
    found = find_trained_inputs(make_weights(Described(inputs=inputs)))
    assert found.of("trained") == inputs
    assert found.of("unclear") == ()
    assert found.steps == LONG


def test_after_a_short_training_channels_are_unclear_and_blocks_are_not() -> None:
    found = find_trained_inputs(make_weights(Described(inputs=("t1", "metadata"), batches=SHORT)))
    assert found.of("unclear") == ("flair", "t1", "dwi")
    assert found.of("trained") == ("metadata",)
    assert found.of("untrained") == ("connectivity",)


def test_a_block_of_which_a_part_alone_was_trained_is_unclear() -> None:
    weights = make_weights(Described())
    weights["mlp_connectivity.bn_layers.1.num_batches_tracked"].zero_()
    assert find_trained_inputs(weights).of("unclear") == ("connectivity",)


def share_left(num_weights: int, fan_in: int, steps: int) -> float:
    """Return what so many steps of Adam on the penalty alone leave of the RMS of first weights."""
    bound = 1 / math.sqrt(fan_in)
    generator = torch.Generator().manual_seed(1)
    weights = torch.nn.Parameter(torch.rand(num_weights, generator=generator) * 2 * bound - bound)
    optimizer = torch.optim.Adam([weights], lr=1e-4)
    first = float(weights.detach().square().mean())
    for _ in range(steps):
        optimizer.zero_grad()
        (1e-4 * weights.square().mean()).backward()
        optimizer.step()
    return math.sqrt(float(weights.detach().square().mean()) / first)


@pytest.mark.parametrize(("width", "slack"), [(32, 0.07), (2, 0.22)], ids=["published", "small"])
def test_an_unused_channel_fades_nearly_as_fast_as_the_closed_form_says(width: int, slack: float) -> None:
    steps = steps_to_fade(width * 81, 1 / math.sqrt(3 * 81), ABSENT_SHARE)
    left = share_left(width * 81, 81, round(steps))
    assert ABSENT_SHARE < left < ABSENT_SHARE + slack
    assert left < 0.95 * KEPT_SHARE  # so one that was not there is never taken for one that was


def train(present: list[int], steps: tuple[int, ...]) -> list[Mapping[str, torch.Tensor]]:
    """Train a small imaging network as published, absent channels being zeros; return all weights after some steps."""
    torch.manual_seed(2)
    shape = NetworkShape(
        volumes=("flair", "t1", "dwi"),
        side=4,
        num_edges=2,
        num_features=2,
        num_outputs=1,
        parameters={"channels": [2, 2]},
    )
    network = fusion.build(shape)
    assert network.cnn is not None
    optimizer = torch.optim.Adam(network.cnn.parameters(), lr=1e-4)
    kept = []
    for step in range(1, steps[-1] + 1):
        volumes = torch.zeros(4, 3, 4, 4, 4)
        volumes[:, present] = torch.rand(4, len(present), 4, 4, 4) * 2 - 1
        loss = functional.mse_loss(network.cnn(volumes).mean(dim=1), volumes.mean(dim=(1, 2, 3, 4)))
        penalty = sum(1e-4 * x.square().mean() for x in network.cnn.parameters() if x.dim() > 1)
        optimizer.zero_grad()
        (loss + penalty).backward()
        optimizer.step()
        if step in steps:
            kept.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
    return kept


def test_a_trained_network_tells_its_channels_once_training_was_long_enough() -> None:
    early, late = map(find_trained_inputs, train([0, 2], (100, 2000)))
    assert early.of("unclear") == ("flair", "t1", "dwi")
    assert late.of("trained") == ("flair", "dwi")
    assert late.of("untrained") == ("t1", "connectivity", "metadata")
