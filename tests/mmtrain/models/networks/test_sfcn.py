"""SFCN against its paper, written down again in PyTorch's functions."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch.nn import functional

from mmtrain.models.protocol import NetworkShape
from mmtrain.models.registry import load_architecture


def random_weights(num_volumes: int, num_outputs: int, seed: int = 3) -> dict[str, torch.Tensor]:
    """Return weights by their published names."""
    generator = torch.Generator().manual_seed(seed)
    widths = [num_volumes, 32, 64, 128, 256, 256, 64]
    weights = {}
    for i, (before, after) in enumerate(pairwise(widths)):
        size = 1 if i == 5 else 3
        scale = (before * size**3) ** -0.5
        name = f"feature_extractor.conv_{i}"
        weights[f"{name}.0.weight"] = torch.randn(after, before, *[size] * 3, generator=generator) * scale
        weights[f"{name}.0.bias"] = torch.randn(after, generator=generator) * 0.1
        weights[f"{name}.1.weight"] = torch.rand(after, generator=generator) + 0.5
        weights[f"{name}.1.bias"] = torch.randn(after, generator=generator) * 0.1
        weights[f"{name}.1.running_mean"] = torch.randn(after, generator=generator) * 0.1
        weights[f"{name}.1.running_var"] = torch.rand(after, generator=generator) + 0.5
        weights[f"{name}.1.num_batches_tracked"] = torch.tensor(7)
    weights["classifier.conv_6.weight"] = torch.randn(num_outputs, 64, 1, 1, 1, generator=generator) / 8
    weights["classifier.conv_6.bias"] = torch.randn(num_outputs, generator=generator)
    return weights


def stated_log_probabilities(
    volumes: torch.Tensor, weights: Mapping[str, torch.Tensor], pooled: tuple[int, int, int]
) -> torch.Tensor:
    """Return what the paper's network gives in evaluation, shape (B, K): one function after the other."""
    x = volumes
    for i in range(6):
        of = {part: weights[f"feature_extractor.conv_{i}.{part}"] for part in ("0.weight", "0.bias")}
        norm = [weights[f"feature_extractor.conv_{i}.1.{part}"] for part in ("running_mean", "running_var")]
        affine = [weights[f"feature_extractor.conv_{i}.1.{part}"] for part in ("weight", "bias")]
        x = functional.conv3d(x, of["0.weight"], of["0.bias"], padding=0 if i == 5 else 1)
        x = functional.batch_norm(x, *norm, *affine, eps=1e-5)
        if i < 5:
            x = functional.max_pool3d(x, 2, 2)
        x = functional.relu(x)
    x = functional.avg_pool3d(x, pooled)
    x = functional.conv3d(x, weights["classifier.conv_6.weight"], weights["classifier.conv_6.bias"])
    return functional.log_softmax(x, dim=1).flatten(1)


def test_its_outputs_are_those_of_the_paper() -> None:
    shape = NetworkShape(volumes=("flair", "t1"), side=64, num_outputs=5)
    network = load_architecture("sfcn").build(shape).eval()
    weights = random_weights(2, 5)
    network.load_state_dict({f"network.{name}": tensor for name, tensor in weights.items()})
    volumes = torch.rand(2, 2, 64, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        found = network(volumes, None, None)
    assert found.shape == (2, 5)
    expected = stated_log_probabilities(volumes, weights, (2, 2, 2))
    torch.testing.assert_close(functional.log_softmax(found, 1), expected, rtol=0, atol=1e-5)


def test_dropout_of_a_half_stands_before_the_last_layer_alone() -> None:
    network = load_architecture("sfcn").build(NetworkShape(volumes=("t1",), side=32, num_outputs=40))
    found = {name: layer.p for name, layer in network.named_modules() if isinstance(layer, torch.nn.Dropout)}
    assert found == {"network.classifier.dropout": 0.5}
