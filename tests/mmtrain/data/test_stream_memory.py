import subprocess
import sys
from pathlib import Path

import numpy as np

from mmdata.store.array import open_array
from mmdata.store.schema import VOLUME_DIMENSIONS, StudyLayout
from mmdata.store.spec import ArraySpec, ensure_array

SIDE, ROWS, EPOCHS = 32, 96, 60
EPOCH_MB = 2 * ROWS * SIDE**3 * 2 / 1e6


def test_memory_is_flat_over_epochs(tmp_path: Path) -> None:
    layout = StudyLayout(tmp_path)
    for modality in ("flair", "t1"):
        path = layout.volume_array(modality, SIDE)
        ensure_array(
            ArraySpec(
                path=path,
                shape=(ROWS, SIDE, SIDE, SIDE),
                row_axis=0,
                rows_per_shard=32,
                dtype="uint16",
                codec="zstd",
                dimensions=VOLUME_DIMENSIONS,
            )
        )
        for start in range(0, ROWS, 32):
            rows = np.random.default_rng(start).integers(0, 4000, (32, SIDE, SIDE, SIDE)).astype(np.uint16)
            open_array(path).write_shard(start, rows)
    script = Path(__file__).with_name("stream_process.py")
    command = [sys.executable, str(script), str(tmp_path), str(SIDE), str(ROWS), str(EPOCHS)]
    peaks_mb = [float(line) for line in subprocess.check_output(command, text=True).split()]
    assert len(peaks_mb) == EPOCHS
    # While 55 epochs of 12.6 MB pass:
    assert max(peaks_mb[5:]) - max(peaks_mb[:5]) < 6 < EPOCH_MB
