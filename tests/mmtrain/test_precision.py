import pytest
import torch

from mmtrain.errors import TrainError
from mmtrain.precision import Precision, choose_precision, computing_in, parameter_dtype

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


def test_bfloat16_on_a_gpu_without_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 0))
    with pytest.raises(TrainError, match=r"compute capability 8\.0 or more. Use float32 or auto"):
        choose_precision("bfloat16", GPU)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_weights_and_their_gradients_never_have_less_than_32_bits(dtype: torch.dtype) -> None:
    layer = torch.nn.Linear(3, 2).to(parameter_dtype(dtype))
    with computing_in(dtype, CPU):
        outputs = layer(torch.ones(4, 3, dtype=parameter_dtype(dtype)))
    assert outputs.dtype == dtype
    outputs.sum().backward()
    assert layer.weight.dtype == layer.weight.grad.dtype == parameter_dtype(dtype)
    assert torch.finfo(layer.weight.dtype).bits >= 32
