from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from mmtrain.algorithms import allow_tf32, choose_algorithms
from mmtrain.precision import Arithmetic


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    torch.backends.cudnn.benchmark = False
    allow_tf32(False)


@pytest.mark.parametrize(
    ("arithmetic", "searches", "rounds"),
    [
        ("float32", False, False),
        ("float64", False, False),
        ("tf32", True, True),
        ("bfloat16", True, False),
        ("float16", True, False),
    ],
)
def test_only_what_has_tensor_cores_is_searched_for_the_fastest_and_float32_is_rounded_for_tf32_alone(
    arithmetic: Arithmetic, searches: bool, rounds: bool
) -> None:
    choose_algorithms("bfloat16" if not searches else "float32", deterministic=False)
    choose_algorithms(arithmetic, deterministic=False)
    assert torch.backends.cudnn.benchmark == searches
    assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == rounds


def test_a_compiled_run_learns_the_same_and_compiles_once_for_each_size_of_a_batch(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"inputs": ("t1", "connectivity"), "epochs": 2}
    plain = tiny.train(**settings)
    counter, compile_with = CompileCounter(), torch.compile

    def compile_traced(network: Any, *, dynamic: bool, options: dict[str, Any]) -> Any:
        assert options == {"fallback_random": True}
        return compile_with(network, dynamic=dynamic, backend=counter)

    monkeypatch.setattr(torch, "compile", compile_traced)
    compiled = tiny.train(**settings, compile=True)
    assert counter.frame_count == 2, "26 samples are two batches of 7 and two of 6; evaluation is not compiled"
    assert tiny.epochs(compiled) == tiny.epochs(plain)
    assert compiled.model.read_bytes() == plain.model.read_bytes()
