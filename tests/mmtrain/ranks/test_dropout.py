import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmtrain.errors import TrainError
from mmtrain.ranks.dropout import BatchPart, PartDropout, share_dropout

SHAPES = {"features": (5,), "volumes": (3, 4, 2, 3)}


def drop(x: torch.Tensor, start: int, whole: int, probability: float = 0.4) -> torch.Tensor:
    torch.manual_seed(11)
    return PartDropout(probability, BatchPart(start, whole))(x)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(list(SHAPES)), st.lists(st.integers(1, 5), min_size=1, max_size=5), st.booleans())
def test_the_parts_of_all_ranks_have_the_mask_of_the_whole_batch(name: str, shares: list[int], last: bool) -> None:
    batch = torch.rand(sum(shares), *SHAPES[name]) + 1
    if last and name == "volumes":
        batch = batch.contiguous(memory_format=torch.channels_last_3d)
    whole = drop(batch, 0, len(batch))
    parts, start = [], 0
    for share in batch.split(shares):
        parts.append(drop(share, start, len(batch)))
        start += len(share)
    assert torch.equal(torch.cat(parts), whole)


def test_other_samples_and_other_layers_have_other_masks() -> None:
    batch = torch.ones(6, 200)
    torch.manual_seed(1)
    layer = PartDropout(0.4, BatchPart(0, 6))
    first, second = layer(batch), layer(batch)
    assert not torch.equal(first, second)
    assert len({tuple(row.tolist()) for row in first}) == 6


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_values_are_zero_as_often_as_wanted_and_their_mean_is_kept(probability: float) -> None:
    outputs = drop(torch.full((400, 500), 3.0), 0, 400, probability)
    assert outputs.unique().tolist() == pytest.approx([0.0, 3 / (1 - probability)])
    assert (outputs == 0).float().mean().item() == pytest.approx(probability, abs=0.01)
    assert outputs.mean().item() == pytest.approx(3.0, abs=0.03)


def test_gradients_pass_where_values_pass() -> None:
    batch = torch.ones(4, 50, requires_grad=True)
    outputs = drop(batch, 2, 9)
    outputs.sum().backward()
    assert torch.equal(batch.grad, outputs.detach())


def test_nothing_is_dropped_in_evaluation() -> None:
    batch = torch.rand(3, 7)
    assert PartDropout(0.5, BatchPart(0, 3)).eval()(batch) is batch


def test_an_unset_part_is_the_whole_batch() -> None:
    batch = torch.rand(3, 7)
    assert torch.equal(drop(batch, 0, 0), drop(batch, 0, 3))


class Layers(nn.Module):
    """Every kind of dropout that PyTorch has for ranks to share, one of them twice, and one in front of windows."""

    def __init__(self) -> None:
        super().__init__()
        self.volumes = nn.Sequential(nn.Dropout3d(0.3), nn.Conv3d(2, 3, 1), nn.Dropout(0.3), nn.Flatten(2))
        self.channels, self.pictures = nn.Dropout1d(0.3), nn.Dropout2d(0.3)
        twice = nn.Dropout(0.3)
        self.values = nn.Sequential(twice, nn.Linear(8, 8), twice)
        self.windows = nn.Dropout(0.3)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        x = self.pictures(self.channels(self.volumes(volumes)).unflatten(2, (2, 4)))
        x = self.values(x.flatten(2))
        return self.windows(x.flatten(0, 1)).unflatten(0, (-1, 3))


@pytest.mark.parametrize("num_parts", [1, 2, 3])
def test_a_network_drops_the_same_whatever_the_number_of_parts(num_parts: int) -> None:
    network = Layers().double()
    part = share_dropout(network)
    assert not any(isinstance(layer, nn.Dropout) for layer in network.modules())
    batch = torch.rand(7, 2, 2, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 1
    outputs, start = [], 0
    for share in batch.tensor_split(num_parts):
        part.start, part.size, part.whole = start, len(share), len(batch)
        torch.manual_seed(5)
        outputs.append(network(share))
        start += len(share)
    torch.manual_seed(5)
    part.start, part.size, part.whole = 0, 7, 7
    whole = network(batch)
    torch.testing.assert_close(torch.cat(outputs), whole)
    assert 0.1 < (whole == 0).double().mean() < 0.9
    assert not torch.equal(network(batch), whole)


def test_rows_that_are_not_of_samples_are_dropped_by_one_rank_and_refused_on_several() -> None:
    rows = torch.ones(5, 100)
    assert (PartDropout(0.5, BatchPart(0, 3, 3))(rows) == 0).any()
    with pytest.raises(TrainError, match=r"gets 5 rows for 3 samples.*without --gpus"):
        PartDropout(0.5, BatchPart(0, 6, 3))(rows)
