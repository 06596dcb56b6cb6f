from collections.abc import Iterator

import pytest
import torch

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
