"""Memory of a process is set up once, so a process of its own is asked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmdata.execution.allocator import HUGE_PAGES

PROGRAM = """
import pathlib
import mmtrain.train
from mmdata.execution.allocator import keep_freed_memory
print(keep_freed_memory())
import torch
tensor = torch.zeros(16 << 20)
address, flags = tensor.data_ptr(), None
for line in pathlib.Path("/proc/self/smaps").read_text().splitlines():
    first, *others = line.split()
    if "-" in first and not first.endswith(":"):
        low, high = (int(part, 16) for part in first.split("-"))
    elif first == "VmFlags:" and low <= address < high:
        flags = others
print("hg" in flags)
"""


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists() or not Path("/proc/self/smaps").exists(),
    reason="this kernel has no huge pages that a program may ask for, or does not tell",
)
def test_large_tensors_are_asked_for_in_huge_pages() -> None:
    unset = {name: value for name, value in os.environ.items() if name != HUGE_PAGES}
    command = [sys.executable, "-c", PROGRAM]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=unset).stdout.split()
    assert told == ["True", "True"]
