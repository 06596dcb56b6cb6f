"""Memory of a process is set up once, so a process of its own is asked."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, pathlib, sys
import mmtrain.train
from mmdata.allocator import keep_freed_memory
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
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout.split()
    assert told == ["True", "True"]
