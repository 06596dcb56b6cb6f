"""How well and how fast deepbet finds the brain in synthetic heads: ``python -m benchmarks.brain [HEADS]``.

T1 at 1 mm; a FLAIR on the T1's grid and FA at 2 mm get its mask, as in an ingest. On a GPU where there is one.
"""

import json
import sys
import time
from collections import defaultdict
from importlib.metadata import version
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmdata.synth.drawing import draw_visit
from mmdata.synth.head import with_head
from mmdata.synth.plan import Visit
from mmdata.volume.deepbet import DEEPBET, find_brain
from mmdata.volume.mask import move_mask
from mmdata.volume.nifti import Volume

HEADS = 6
SEED = 11


def measure_heads(num_heads: int) -> dict[str, Any]:
    """Return seconds for a scan and Dice overlaps with the brains that were drawn."""
    dice, cpu_s, wall_s = defaultdict(list), [], []
    for index in range(num_heads):
        drawn = draw_visit(Visit(index=index, instance=2, fields=("20252", "20253", "20250")), SEED, voxel_mm=1.0)
        t1 = drawn.scans["t1"]
        head = with_head(t1.images["T1"], t1.is_brain, t1.pose.affine_44, np.random.default_rng(index))
        cpu, wall = time.process_time(), time.perf_counter()
        found = find_brain(Volume(head, t1.pose.affine_44))
        cpu_s.append(time.process_time() - cpu)
        wall_s.append(time.perf_counter() - wall)
        dice["t1"].append(_dice(found, t1.is_brain))
        for modality in ("flair", "dwi"):
            scan = drawn.scans[modality]
            world_44 = np.linalg.inv(t1.pose.mni_from_native_44) @ scan.pose.mni_from_native_44
            t1_from_scan_44 = np.linalg.inv(t1.pose.affine_44) @ world_44 @ scan.pose.affine_44
            dice[modality].append(_dice(move_mask(found, t1_from_scan_44, scan.is_brain.shape), scan.is_brain))
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "processor, one thread",
        "deepbet": version(DEEPBET),
        "heads": num_heads,
        "cpu_s": {"median": round(median(cpu_s), 2), "largest": round(max(cpu_s), 2)},
        "wall_s": {"median": round(median(wall_s), 2), "largest": round(max(wall_s), 2)},
        "dice": {name: {"lowest": round(min(of), 4), "median": round(median(of), 4)} for name, of in dice.items()},
    }


def _dice(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    return 2 * float((found & true).sum()) / float(found.sum() + true.sum())


if __name__ == "__main__":
    measured = measure_heads(int(sys.argv[1]) if len(sys.argv) > 1 else HEADS)
    sys.stdout.write(json.dumps(measured, indent=1) + "\n")
