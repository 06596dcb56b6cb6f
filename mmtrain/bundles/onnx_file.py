"""A model's network as an ONNX file, for programs without PyTorch.

Its inputs are what the network sees, by the names `INPUTS`, as many as the model has: scaled volumes (B, C, X, Y, Z),
edges (B, E) and scaled features (B, F), in float32. Its output ``outputs`` (B, K) is not scaled back. B is free.

The libraries onnx, onnxscript and onnxruntime are needed here alone.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mmbase.checksums import write_checked
from mmbase.errors import first_line
from mmtrain.bundles.golden import NUM_EXAMPLES, TOLERANCE, GoldenInputs, GoldenOutputs, largest_differences
from mmtrain.errors import TrainError
from mmtrain.models.trained import TrainedModel

OPSET = 20
"""The first that has GELU."""
INPUTS = ("volumes", "connectivity", "metadata")
OUTPUT = "outputs"
_WRITING, _RUNNING = ("onnx", "onnxscript", "onnxruntime"), ("onnxruntime",)


class OnnxError(TrainError):
    """A network cannot be written as ONNX, or ONNX computes something else."""


class _Given(nn.Module):
    """A network that is called with the inputs that it has, and nothing for the others."""

    def __init__(self, network: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        """Return outputs (B, K)."""
        by_name = dict(zip(self.names, given, strict=True))
        outputs: torch.Tensor = self.network(*(by_name.get(name) for name in INPUTS))
        return outputs


def can_write() -> bool:
    """Return whether all is installed that writes and proves an ONNX file."""
    return all(map(find_spec, _WRITING))


def can_run() -> bool:
    """Return whether an ONNX file can be run here."""
    return all(map(find_spec, _RUNNING))


def write_onnx(path: Path, model: TrainedModel, inputs: GoldenInputs, expected: GoldenOutputs) -> None:
    """Write a model's network as ONNX, once it is seen to compute the golden outputs.

    Raises
    ------
    OnnxError
        A library is missing, the network has no form in ONNX, or what came out computes something else.
    """
    if not can_write():
        raise OnnxError(
            "ONNX needs libraries that are not installed here.", "Install them: pip install 'megamodeller[onnx]'"
        )
    content = _export(model, inputs)
    for num in (NUM_EXAMPLES, 1):  # a number of samples that was traced as a constant would show
        differences = largest_differences(expected.first(num), _predict(content, model, inputs.first(num)))
        if max(differences.values()) > TOLERANCE:
            raise OnnxError(
                f"As ONNX the network {model.card.network} computes something else: expected a difference of at most "
                f"{TOLERANCE:g} of the target's scale, got {max(differences.values()):.2g}."
            )
    write_checked(path, content)


def predict_with_onnx(path: Path, model: TrainedModel, inputs: GoldenInputs) -> dict[str, NDArray[np.float64]]:
    """Return what an ONNX file predicts for golden inputs, on this machine's processors.

    Raises
    ------
    OnnxError
        It cannot be run.
    """
    return _predict(path.read_bytes(), model, inputs)


def _export(model: TrainedModel, inputs: GoldenInputs) -> bytes:
    tensors = _tensors(model, inputs)
    batch = torch.export.Dim("batch")
    with _quiet():
        try:
            program = torch.onnx.export(
                _Given(model.network, tuple(tensors)).eval(),
                tuple(tensors.values()),
                input_names=list(tensors),
                output_names=[OUTPUT],
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                custom_translation_table={torch.ops.aten._adaptive_avg_pool3d.default: _pool},
                dynamic_shapes={"given": tuple({0: batch} for _ in tensors)},
                verbose=False,
            )
        except Exception as error:  # the exporter's own errors, and whatever a network raises while it is traced
            raise OnnxError(
                f"The network {model.card.network} has no form in ONNX ({type(error).__name__})."
            ) from error
    assert program is not None
    graph = program.model_proto
    _forget_origins(graph)
    content: bytes = graph.SerializeToString()
    return content


def _forget_origins(message: Any) -> None:
    """Take out of a protobuf message, and of all in it, where it came from: paths of source files on this machine."""
    for name in ("metadata_props", "doc_string"):
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in (value,) if hasattr(value, "DESCRIPTOR") else value:
                _forget_origins(part)


def _pool(volumes: Any, output_size: Sequence[int]) -> Any:
    """Return what averages volumes in equal blocks, in ONNX: the exporter of PyTorch does not know it."""
    from onnxscript import opset20  # noqa: PLC0415 - only with the extra onnx

    sides = [int(side) for side in volumes.shape[-3:]]
    if any(side % size for side, size in zip(sides, output_size, strict=True)):
        raise NotImplementedError("blocks of different sizes")
    block = [side // size for side, size in zip(sides, output_size, strict=True)]
    return opset20.AveragePool(volumes, kernel_shape=block, strides=block)


def _predict(content: bytes, model: TrainedModel, inputs: GoldenInputs) -> dict[str, NDArray[np.float64]]:
    import onnxruntime  # noqa: PLC0415 - only with the extra onnx

    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        wanted = {part.name for part in session.get_inputs()}
        tensors = {name: tensor.numpy() for name, tensor in _tensors(model, inputs).items() if name in wanted}
        (outputs,) = session.run([OUTPUT], tensors)
    except Exception as error:  # onnxruntime's errors have no common class
        raise OnnxError(f"The ONNX file cannot be run: {first_line(error)}.") from error
    card = model.card
    return dict(zip(card.fitted.names, card.fitted.predictions(outputs.astype(np.float64)).T, strict=True))


def _tensors(model: TrainedModel, inputs: GoldenInputs) -> dict[str, torch.Tensor]:
    """Return what the network sees of golden inputs, on the CPU; only what it has."""
    given: Mapping[str, Any] = inputs.of_side(model.card.shape.side)
    parts = model.network_inputs(**given)
    return {name: part.float().cpu() for name, part in zip(INPUTS, parts, strict=True) if part is not None}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter from telling users of its own deprecations and of operators that no network here has."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
