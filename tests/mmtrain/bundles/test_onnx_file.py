"""ONNX computes what PyTorch computes, for every network that has a form in it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from mmtrain.bundles.golden import compute_outputs, draw_inputs
from mmtrain.bundles.onnx_file import OPSET, OnnxError, write_onnx
from mmtrain.models.protocol import NetworkShape
from mmtrain.models.registry import load_architecture
from mmtrain.models.trained import TrainedModel, model_of_card
from tests.mmtrain.bundles.test_golden import CARD

ALL = {"volumes": ("t1", "dwi"), "side": 32, "num_edges": 30, "num_features": 6, "num_outputs": 3}
SHAPES: dict[str, dict[str, Any]] = {
    "fusion": ALL | {"parameters": {"channels": [4, 4]}},
    "linear": ALL,
    "constant": ALL,
}


def make_model(network: str) -> TrainedModel:
    """Return a model with weights and running statistics that are not those of a new one."""
    torch.manual_seed(3)
    shape = load_architecture(network).complete(NetworkShape(**SHAPES[network]))
    model = model_of_card(replace(CARD, network=network, shape=shape), torch.device("cpu"), torch.float32)
    for name, tensor in model.network.state_dict().items():
        if tensor.is_floating_point():
            tensor.mul_(1 + torch.rand_like(tensor) / 10).add_(0.01 * ("running_mean" in name))
    return model


@pytest.mark.parametrize("network", SHAPES)
def test_onnx_gives_what_pytorch_gives_for_any_number_of_samples(network: str, tmp_path: Path) -> None:
    model = make_model(network)
    inputs = draw_inputs(model.card)
    path = tmp_path / "model.onnx"
    write_onnx(path, model, inputs, compute_outputs(model, inputs))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [part.name for part in session.get_inputs()]
    tensors = dict(
        zip(("volumes", "connectivity", "metadata"), model.network_inputs(**inputs.of_side(32)), strict=True)
    )
    assert set(names) == {name for name, tensor in tensors.items() if tensor is not None}
    for picked in ([0], [2, 0, 1, 3, 3, 0, 1]):
        given = {name: tensor[picked] for name, tensor in tensors.items() if tensor is not None}
        with torch.inference_mode():
            expected = model.network(*(given.get(name) for name in tensors)).numpy()
        (got,) = session.run(["outputs"], {name: given[name].numpy() for name in names})
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_the_opset_is_the_one_that_is_said(tmp_path: Path) -> None:
    import onnx  # noqa: PLC0415 - a heavy one

    model = make_model("constant")
    inputs = draw_inputs(model.card)
    write_onnx(tmp_path / "model.onnx", model, inputs, compute_outputs(model, inputs))
    content = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(content, full_check=True)
    assert {opset.version for opset in content.opset_import if opset.domain in ("", "ai.onnx")} == {OPSET}


def test_what_computes_something_else_is_not_written(tmp_path: Path) -> None:
    model = make_model("constant")
    inputs = draw_inputs(model.card)
    outputs = compute_outputs(model, inputs)
    other = replace(outputs, predictions={**outputs.predictions, "age": [0.0] * 4})
    with pytest.raises(OnnxError, match="computes something else"):
        write_onnx(tmp_path / "model.onnx", model, inputs, other)
    assert not list(tmp_path.iterdir())
