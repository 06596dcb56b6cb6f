"""Which inputs a training sample is given: modality dropout, a pure function of seed, epoch and sample.

Neither the batch of a sample nor its rank matters.
Source: Neverova et al., ModDrop: adaptive multi-modal gesture recognition, 2016, arXiv 1501.00102, section 4.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmtrain.data.order import derive_seed

_SEEDS = 2.0**63
"""How many seeds `derive_seed` gives."""


def draw_given(
    inputs: Sequence[str], probability: float, sample_ids: Sequence[str], *, seed: int, epoch: int
) -> NDArray[np.bool_]:
    """Return which inputs each sample is given in an epoch, shape (B, I).

    Each input is left out with a probability, by itself. Of a sample that would lose all of them one stays, any with
    equal chances, so that the share that is left out of I inputs is ``probability - probability**I / I``.

    Parameters
    ----------
    sample_ids
        Of the B samples.
    epoch
        Counted from 1.
    """
    keys = [[derive_seed(seed, "modality-dropout", epoch, name, one) for one in inputs] for name in sample_ids]
    draws_BI = np.array(keys, np.float64).reshape(len(sample_ids), len(inputs)) / _SEEDS
    given: NDArray[np.bool_] = (draws_BI >= probability) | (draws_BI == draws_BI.max(axis=1, keepdims=True))
    return given
