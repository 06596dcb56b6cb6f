"""Stream epoch after epoch and write, for each, the largest memory that this process had in it, in MB."""

import sys
from pathlib import Path

import numpy as np
import psutil

from mmdata.execution.allocator import keep_freed_memory
from mmdata.store.schema import StudyLayout
from mmtrain.data.stream import BatchRequest, open_stores, stream_batches


def main(study: Path, side: int, rows: int, epochs: int) -> None:
    keep_freed_memory()
    process = psutil.Process()
    stores = open_stores(StudyLayout(study), ("flair", "t1"), side=side, connectivity="", copies=0)
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(rows)
        requests = [
            BatchRequest(part, part, np.zeros(len(part), np.int64)) for part in np.array_split(order, rows // 8)
        ]
        batches = stream_batches(stores, requests, prefetch_bytes=4 << 20)
        sys.stdout.write(f"{max(process.memory_info().rss for _ in batches) / 1e6}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
