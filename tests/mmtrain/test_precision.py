import pytest
import torch

from mmtrain.errors import TrainError
from mmtrain.precision import (
    ARITHMETICS,
    Precision,
    choose_precision,
    computing_in,
    memory_format,
    parameter_dtype,
    resolve_for_finished,
    resolve_precision,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("wanted", "device", "capability", "expected"),
    [
        ("auto", CPU, None, torch.float32),
        ("auto", GPU, (7, 5), torch.float32),
        ("auto", GPU, (8, 0), torch.bfloat16),
        ("auto", GPU, (9, 0), torch.bfloat16),
        ("float32", GPU, (9, 0), torch.float32),
        ("float64", GPU, (9, 0), torch.float64),
        ("float64", CPU, None, torch.float64),
        ("bfloat16", GPU, (8, 6), torch.bfloat16),
        ("bfloat16", CPU, None, torch.bfloat16),
        ("tf32", GPU, (8, 0), torch.float32),
        ("float16", GPU, (7, 0), torch.float16),
        ("float16", CPU, None, torch.float16),
    ],
)
def test_the_arithmetic_follows_from_the_device(
    monkeypatch: pytest.MonkeyPatch,
    wanted: Precision,
    device: torch.device,
    capability: tuple[int, int] | None,
    expected: torch.dtype,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert choose_precision(wanted, device) == expected


@pytest.mark.parametrize(("wanted", "device"), [("bfloat16", GPU), ("tf32", GPU), ("tf32", CPU)])
def test_what_a_device_does_not_have_is_refused_with_what_it_has(
    monkeypatch: pytest.MonkeyPatch, wanted: Precision, device: torch.device
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 0))
    with pytest.raises(TrainError, match=r"compute capability 8\.0 or more") as refused:
        resolve_precision(wanted, device)
    assert "Use float32, or float16 on a GPU. A run that has begun" in refused.value.what_to_do


@pytest.mark.parametrize(
    ("trained_in", "device", "expected"),
    [
        ("bfloat16", CPU, "float32"),
        ("float16", CPU, "float32"),
        ("tf32", CPU, "float32"),
        ("float64", CPU, "float64"),
        ("bfloat16", GPU, "float32"),
        ("float16", GPU, "float16"),
        ("auto", GPU, "float32"),
    ],
)
def test_a_finished_run_is_looked_at_in_what_the_device_has(
    monkeypatch: pytest.MonkeyPatch, trained_in: Precision, device: torch.device, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 0))
    assert resolve_for_finished(trained_in, device) == expected


def test_volumes_lie_with_channels_last_but_in_plain_float32_and_float64_on_a_gpu() -> None:
    formats = {(name, device.type): memory_format(name, device) for name in ARITHMETICS for device in (CPU, GPU)}
    contiguous = {key for key, layout in formats.items() if layout == torch.contiguous_format}
    assert contiguous == {("float32", "cuda"), ("float64", "cuda")}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_weights_and_their_gradients_never_have_less_than_32_bits(dtype: torch.dtype) -> None:
    layer = torch.nn.Linear(3, 2).to(parameter_dtype(dtype))
    with computing_in(dtype, CPU):
        outputs = layer(torch.ones(4, 3, dtype=parameter_dtype(dtype)))
    assert outputs.dtype == dtype
    outputs.sum().backward()
    assert layer.weight.dtype == layer.weight.grad.dtype == parameter_dtype(dtype)
    assert torch.finfo(layer.weight.dtype).bits >= 32
