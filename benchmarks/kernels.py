"""Where the time of a training step goes on a device: its kernels by kind, in milliseconds a step."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping

import torch
from torch.profiler import DeviceType, ProfilerActivity, profile

from mmtrain.bench.throughput import num_warm_ups
from mmtrain.device import wait_for

_KINDS = {
    "fused code": r"^triton",
    "batch norm": r"batch_?norm|bn_(fw|bw)|welford",
    "pooling": r"pool",
    "convolution": r"conv|dgrad|wgrad|fprop|implicit_gemm|winograd|nchwtonhwc|nhwctonchw",
    "matrix product": r"gemm|cutlass|addmm|aten::mm|aten::linear|splitk",
    "activation": r"gelu",
    "optimiser": r"adam|multi_tensor",
    "copies": r"copy|memcpy|memset|contiguous|aten::clone|fill",
    "random numbers": r"rand|philox|distribution|bernoulli|dropout",
    "sums": r"reduce|sum|mean|norm",
    "additions and products": r"elementwise|add|mul|div|sub|pow|vectorized",
}
"""Kind to what the names of its kernels hold, in lower case; the first that fits counts."""


def kind_of(kernel: str) -> str:
    """Return the kind of a kernel by its name.

    >>> kind_of("sm80_xmma_dgrad_implicit_gemm_indexed_bf16"), kind_of("void at::native::vectorized_elementwise_kernel")
    ('convolution', 'additions and products')
    """
    return next((kind for kind, pattern in _KINDS.items() if re.search(pattern, kernel.lower())), "others")


def measure_kernels(step: Callable[[], object], device: torch.device, num_steps: int) -> dict[str, float]:
    """Return milliseconds a step of each kind of kernel, the longest first, behind the warm-up.

    On a processor the operations of PyTorch count, each without those that it calls.
    """
    for _ in range(num_warm_ups(device)):
        step()
    wait_for(device)
    is_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_gpu else [])]
    with profile(activities=activities) as profiler:
        for _ in range(num_steps):
            step()
        wait_for(device)
    microseconds: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        if is_gpu and event.device_type == DeviceType.CUDA:
            microseconds[event.key] += event.self_device_time_total
        elif not is_gpu:
            microseconds[event.key] += event.self_cpu_time_total
    return by_kind({name: spent / 1000 / num_steps for name, spent in microseconds.items()})


def by_kind(milliseconds: Mapping[str, float]) -> dict[str, float]:
    """Add up the kernels of each kind."""
    kinds: dict[str, float] = defaultdict(float)
    for name, spent in milliseconds.items():
        kinds[kind_of(name)] += spent
    return {kind: round(kinds[kind], 4) for kind in sorted(kinds, key=lambda kind: -kinds[kind])}
