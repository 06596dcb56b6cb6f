"""Keep freed memory for the next batch instead of giving it back to the system.

Every decoded chunk and every batch is as large as the last one. glibc returns such blocks at once, and the kernel then
zeroes fresh pages for the next: a quarter of the time of reading a 64³ volume.

Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
"""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 512 << 20
_LARGEST_HEAP_BLOCK_BYTES = 32 << 20
"""The largest that glibc accepts on 64-bit machines."""


def keep_freed_memory() -> bool:
    """Tell the C library of this process to keep up to 512 MB of freed memory; return whether it understood."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False  # not glibc
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_HEAP_BLOCK_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))
