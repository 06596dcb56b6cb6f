"""The brain of a T1 image, found by the network of deepbet: an optional package whose wheel holds the weights.

A process loads one network and keeps it. It runs on a GPU of CUDA where there is one, else on one processor thread, for
an ingest has a worker for each core.

Source: Fisch et al. (2024), deepbet: fast brain extraction of T1-weighted MRI using convolutional neural networks.
"""

import warnings
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from mmdata.errors import CapacityError, ScanRejected, StudyError
from mmdata.volume.nifti import Volume

DEEPBET = "deepbet"
"""The extractor's name in settings, its package's and its module's."""
CPU_S_PER_SCAN = 5.0
"""Seconds that one core takes for a scan of up to 14 million voxels, for the network sees 128 and then 256 voxels along
each axis of any. The largest scan that is read takes twice as long."""
WORKER_BYTES = 1300 << 20
"""What the network and its activations add to the peak memory of a process: 1,210 MB were measured at most."""


def require_deepbet() -> None:
    """Make sure that deepbet is installed.

    Raises
    ------
    StudyError
        It is not.
    """
    if find_spec(DEEPBET) is None:
        raise StudyError(
            "ingest.brain_extractor is deepbet, which is not installed.",
            "Install it with: pip install 'megamodeller[brain]'",
        )


def deepbet_version() -> str:
    """Return the version that is installed.

    Raises
    ------
    StudyError
        None is.
    """
    require_deepbet()
    return version(DEEPBET)


def find_brain(volume: Volume) -> NDArray[np.bool_]:
    """Return which voxels of a T1 image of a whole head are brain, on its own grid.

    Raises
    ------
    ScanRejected
        ``extractor-failed``: deepbet finds no brain.
    StudyError
        It is not installed.
    CapacityError
        The GPU's memory ran out.
    """
    torch = import_module("torch")
    image = nib.Nifti1Image(np.asarray(volume.data_XYZ, dtype=np.float32), volume.affine_44)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            _, mask, _ = _network().run(image)
    except torch.OutOfMemoryError as error:
        raise CapacityError(
            "deepbet ran out of the GPU's memory, which all workers share. What was stored is intact.",
            "Run the same command with fewer --workers.",
        ) from error
    except (AssertionError, ValueError) as error:  # its own ways to say that nothing in the image looks like brain
        raise ScanRejected("extractor-failed", "deepbet finds no brain in the image") from error
    finally:
        torch.set_num_threads(num_threads)
    return np.asarray(mask.dataobj) > 0


@cache
def _network() -> Any:
    require_deepbet()
    has_gpu = import_module("torch").cuda.is_available()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its weights are TorchScript, of which torch warns
        return import_module(DEEPBET).BrainExtraction(no_gpu=not has_gpu)
