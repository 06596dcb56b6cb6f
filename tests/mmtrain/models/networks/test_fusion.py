import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mmtrain.config.model import ModelConfig
from mmtrain.errors import TrainError
from mmtrain.models.networks.fusion import FusionNet, ImagingNet, complete, imaging_width, weight_penalty
from mmtrain.models.protocol import NetworkShape

REFERENCE_CHANNELS = (32, 64, 128, 256, 256)
NO_BLOCKS = {"channels": (), "num_edges": 0, "num_features": 0}


def fusion(**blocks: object) -> FusionNet:
    options = {"side": 64, "num_outputs": 1, **NO_BLOCKS, **blocks}
    return FusionNet(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("conv_layers.0.weight", (32, 3, 3, 3, 3)),
        ("conv_layers.1.weight", (32, 32, 3, 3, 3)),
        ("conv_layers.2.weight", (64, 32, 3, 3, 3)),
        ("conv_layers.9.weight", (256, 256, 3, 3, 3)),
        ("skip_conv_layers.0.weight", (32, 3, 1, 1, 1)),
        ("skip_conv_layers.4.weight", (256, 256, 1, 1, 1)),
        ("bn_layers.0.running_mean", (32,)),
        ("bn_layers.4.weight", (256,)),
        ("dense_layer.weight", (128, 2048)),
        ("final_batch_norm.running_var", (128,)),
    ],
)
def test_the_imaging_network_has_the_names_and_shapes_of_the_reference(name: str, shape: tuple[int, ...]) -> None:
    assert tuple(ImagingNet(64, REFERENCE_CHANNELS).state_dict()[name].shape) == shape


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("mlp_connectivity.dense_layers.0.weight", (128, 210)),
        ("mlp_connectivity.dense_layers.1.weight", (128, 128)),
        ("mlp_connectivity.bn_layers.1.weight", (128,)),
        ("mlp_metadata.dense_layers.0.weight", (128, 8)),
        ("mlp_metadata.dense_layers.1.weight", (64, 128)),
        ("mlp_metadata.dense_layers.2.weight", (32, 64)),
        ("mlp_logits.dense_layers.0.weight", (256, 288)),
        ("mlp_logits.dense_layers.1.weight", (256, 256)),
        ("mlp_logits.dense_layers.2.weight", (2, 256)),
    ],
)
def test_the_dense_blocks_have_the_names_and_shapes_of_the_reference(name: str, shape: tuple[int, ...]) -> None:
    model = fusion(channels=(8, 8), side=16, num_edges=210, num_features=8, num_outputs=2)
    assert tuple(model.state_dict()[name].shape) == shape


def test_the_imaging_network_at_side_64_has_6_5_million_parameters() -> None:
    # skips   3*32+32 128, 32*64+64 2112, 64*128+128 8320, 128*256+256 33024, 256*256+256 65792         = 109,376
    # convs   2624 + 27680, 55360 + 110656, 221312 + 442496, 884992 + 1769728, 1769728 + 1769728        = 7,054,304
    # norms   2 * (32 + 64 + 128 + 256 + 256)                                                          = 1,472
    # dense   2048 * 128 + 128 = 262,272; its norm 256
    total = sum(p.numel() for p in ImagingNet(64, REFERENCE_CHANNELS).parameters())
    assert total == 109_376 + 7_054_304 + 1_472 + 262_272 + 256


def test_the_head_alone_has_the_parameters_worked_by_hand() -> None:
    # 288 * 256 + 256, 256 * 256 + 256, 256 + 1, and two norms of 512.
    assert sum(p.numel() for p in fusion().parameters()) == 73_984 + 65_792 + 257 + 1_024


@pytest.mark.parametrize(("side", "width"), [(32, 128), (64, 128), (128, 256)])
def test_the_embedding_is_wider_at_side_128(side: int, width: int) -> None:
    assert imaging_width(side) == width


INPUTS = {
    "connectivity": ({"num_edges": 10}, 1, torch.randn(4, 10), slice(0, 128)),
    "metadata": ({"num_features": 6}, 2, torch.randn(4, 6), slice(128, 160)),
    "imaging": ({"channels": (4, 4), "side": 16}, 0, torch.randn(4, 3, 16, 16, 16), slice(160, 288)),
}


@pytest.mark.parametrize("name", INPUTS)
def test_the_place_of_a_missing_block_holds_zeros_in_the_heads_input(name: str) -> None:
    blocks, position, values, place = INPUTS[name]
    model = fusion(**blocks)
    seen: list[torch.Tensor] = []
    model.mlp_logits.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    given = [None, None, None]
    given[position] = values  # type: ignore[call-overload]
    assert model(*given).shape == (4, 1)
    assert seen[0].shape == (4, 288)
    assert seen[0][:, place].abs().sum() > 0
    elsewhere = torch.ones(288, dtype=torch.bool)
    elsewhere[place] = False
    assert seen[0][:, elsewhere].abs().sum() == 0


@pytest.mark.parametrize("name", INPUTS)
def test_a_missing_block_has_no_parameters(name: str) -> None:
    prefix = {"connectivity": "mlp_connectivity", "metadata": "mlp_metadata", "imaging": "cnn"}[name]
    parts = {key.split(".")[0] for key in fusion(**INPUTS[name][0]).state_dict()}
    assert parts == {prefix, "mlp_logits"}


@pytest.mark.parametrize(("channels", "side"), [((4, 4), 16), ((4, 8, 8), 32), ((2, 2, 2, 2, 2, 2), 128)])
def test_each_stage_halves_the_volume(channels: tuple[int, ...], side: int) -> None:
    model = ImagingNet(side, channels).eval()
    assert model(torch.zeros(1, 3, side, side, side)).shape == (1, imaging_width(side))


def test_the_weight_penalty_of_a_case_worked_by_hand() -> None:
    model = fusion(num_edges=10)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(2.0)
    # Each tensor's mean square is 4. Weights: connectivity first; then 1 dense there and 3 in the head; neither biases
    # nor the factors of norms count.
    assert weight_penalty(model, ModelConfig(weight_penalty=0.5, connectivity_penalty=100.0)).item() == pytest.approx(
        100 * 4 + 4 * 0.5 * 4
    )


def test_no_penalty_on_biases_and_norms() -> None:
    model = fusion(num_features=6, channels=(4, 4), side=16)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(3.0 if name.endswith("bias") or "norm" in name or "bn_layers" in name else 0.0)
    assert weight_penalty(model, ModelConfig(weight_penalty=1.0, connectivity_penalty=1.0)).item() == 0.0


SUBSETS = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]


@pytest.mark.parametrize("present", SUBSETS, ids=str)
def test_modalities_that_are_absent_count_as_zeros_and_leave_their_weights_alone(present: tuple[int, ...]) -> None:
    given, whole = ImagingNet(8, (4, 4), present).double(), ImagingNet(8, (4, 4)).double()
    whole.load_state_dict(given.state_dict())
    volumes = torch.randn(5, 3, 8, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    absent = [channel for channel in range(3) if channel not in present]
    volumes[:, absent] = 0
    outputs = []
    for model, x in ((given, volumes[:, present]), (whole, volumes)):
        torch.manual_seed(5)
        outputs.append(model(x))
        outputs[-1].square().sum().backward()
    torch.testing.assert_close(outputs[0], outputs[1])
    for one, other in zip(given.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    for layer in (given.conv_layers[0], given.skip_conv_layers[0]):
        assert (layer.weight.grad[:, absent] == 0).all()
        assert (layer.weight.grad[:, present] != 0).any(dim=(0, 2, 3, 4)).all()


def test_modalities_that_are_absent_cost_nothing() -> None:
    costs = []
    for present in ((1,), (0, 2), (0, 1, 2)):
        model = ImagingNet(8, (4, 4), present)
        with FlopCounterMode(display=False) as counter:
            model(torch.zeros(2, len(present), 8, 8, 8))
        costs.append(counter.get_total_flops())
    # A voxel of one modality: 27 + 1 weights for each of 4 channels, a multiplication and an addition each.
    of_modality = 2 * 8**3 * 4 * (27 + 1) * 2
    assert costs[1] - costs[0] == costs[2] - costs[1] == of_modality


def test_an_imaging_network_that_is_kept_gives_zeros_and_learns_from_its_penalty_alone() -> None:
    model = fusion(channels=(4, 4), side=16, present=(), num_features=6)
    seen: list[torch.Tensor] = []
    model.mlp_logits.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    loss = model(None, None, torch.randn(4, 6)).sum() + weight_penalty(model, ModelConfig(weight_penalty=0.5))
    loss.backward()
    assert (seen[0][:, 160:] == 0).all()
    for name, parameter in model.cnn.named_parameters():
        if parameter.dim() > 1:
            torch.testing.assert_close(parameter.grad, parameter.detach() / parameter.numel(), msg=name)
        else:
            assert parameter.grad is None and not parameter.requires_grad


def complete_at(side: int, *channels: int, volumes: tuple[str, ...] = ("t1",), **parameters: object) -> tuple[int, ...]:
    """Return the channels of the completed shape."""
    parameters |= {"channels": channels} if channels else {}
    shape = complete(NetworkShape(volumes=volumes, side=side, num_outputs=1, parameters=parameters))
    return tuple(shape.parameters["channels"])


@pytest.mark.parametrize(
    ("side", "channels"), [(64, REFERENCE_CHANNELS), (128, (32, 64, 128, 256, 256, 256)), (32, (16, 32, 64, 128))]
)
def test_each_side_has_its_default_network(side: int, channels: tuple[int, ...]) -> None:
    assert complete_at(side) == channels
    assert complete_at(side, 4, 8) == (4, 8)


@pytest.mark.parametrize(
    ("side", "channels", "message"),
    [
        (48, (), "no default network for side 48; give --channels"),
        (64, (8,), "2 to 6 stages that halve side 64 evenly, got 1"),
        (24, (8, 8, 8, 8), "halve side 24 evenly, got 4"),
        (128, (2,) * 7, "got 7"),
    ],
)
def test_stages_that_do_not_halve_the_volumes_are_refused(side: int, channels: tuple[int, ...], message: str) -> None:
    with pytest.raises(TrainError, match=message):
        complete_at(side, *channels)


def test_the_imaging_network_is_of_no_concern_without_volumes() -> None:
    assert complete_at(48, 8, volumes=()) == ()
    assert complete_at(64, volumes=(), keep_imaging=True) == REFERENCE_CHANNELS
    assert complete_at(16, 4, 8, volumes=(), keep_imaging=True) == (4, 8)
    with pytest.raises(TrainError, match="no default network for side 48"):
        complete_at(48, volumes=(), keep_imaging=True)


SUBSETS = {
    "all": (True, True, True, True),
    "one volume": (False, True, True, True),
    "no volume": (False, False, True, True),
    "volumes alone": (True, True, False, False),
    "features alone": (False, False, False, True),
    "a volume and edges": (True, False, True, False),
}


def everything() -> tuple[FusionNet, list[torch.Tensor]]:
    """Return a network of flair, dwi, connectivity and metadata in evaluation mode, and a batch for it."""
    torch.manual_seed(5)
    model = fusion(side=16, channels=(4, 8), present=(0, 2), num_edges=20, num_features=6)
    inputs = [torch.randn(5, 2, 16, 16, 16), torch.randn(5, 20), torch.randn(5, 6)]
    with torch.no_grad():
        model(*inputs)  # moments of batch norm that are not 0 and 1
    return model.eval(), inputs


@pytest.mark.parametrize("given", SUBSETS.values(), ids=SUBSETS)
def test_the_values_of_an_input_that_a_sample_does_not_have_do_not_matter(given: tuple[bool, ...]) -> None:
    model, (volumes, edges, features) = everything()
    given_BI = torch.ones(5, 4, dtype=torch.bool)
    given_BI[2] = torch.tensor(given)
    expected = model(volumes, edges, features, given_BI)
    volumes[2, [i for i in (0, 1) if not given[i]]] = torch.nan
    edges[2] = edges[2] if given[2] else torch.inf
    features[2] = features[2] if given[3] else -7.0
    assert torch.equal(model(volumes, edges, features, given_BI), expected)


@pytest.mark.parametrize("given", SUBSETS.values(), ids=SUBSETS)
def test_a_missing_input_is_to_the_network_as_one_that_was_never_asked_for(given: tuple[bool, ...]) -> None:
    model, inputs = everything()
    found = model(*inputs, torch.tensor(given).expand(5, 4))
    channels = [i for i in (0, 1) if given[i]]
    without = fusion(side=16, channels=(4, 8), present=[(0, 2)[i] for i in channels], num_edges=20, num_features=6)
    without.load_state_dict(model.state_dict())
    volumes, edges, features = inputs
    expected = without.eval()(
        volumes[:, channels] if channels else None, edges if given[2] else None, features if given[3] else None
    )
    torch.testing.assert_close(found, expected)


def test_blocks_whose_output_does_not_count_see_brains_all_the_same() -> None:
    model, inputs = everything()
    moments = []
    for given in ((True, True, True, True), (False, False, False, True)):
        model.train()
        model.load_state_dict(everything()[0].state_dict())
        torch.manual_seed(1)  # of dropout
        model(*inputs, torch.tensor(given).expand(5, 4))
        moments.append({name: moment for name, moment in model.named_buffers() if "mlp_logits" not in name})
    torch.testing.assert_close(*moments, rtol=0, atol=0)
