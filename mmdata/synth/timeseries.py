"""Resting-state signals: a few latent networks, how strongly each region follows them, and noise of each region's own.

Planted: a block of regions shares one more signal, stronger in men; the default network's regions follow it less with
age. Left and right regions of one area follow the same networks.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmdata.synth.participant import Brain
from mmdata.synth.seeds import generator

NUM_REGIONS = 360
NUM_TIMEPOINTS = 490
NUM_NODES = 55
"""Components of field 25751: 55 * 54 / 2 = 1,485 edges."""
_NUM_NETWORKS = 12
_DEFAULT_NETWORK = 3
_SEX_BLOCK = 30
"""Areas per hemisphere in the block that differs by sex."""
_HALF = NUM_REGIONS // 2
_LARGEST = 999
_TEXTS = [f"{value / 100:.2f}" for value in range(-_LARGEST, _LARGEST + 1)]
_EDGE_SCALE = 15.0


def draw_series(rng: np.random.Generator, seed: int, brain: Brain) -> NDArray[np.float32]:
    """Draw one visit's Glasser time series, shape (regions, timepoints), right hemisphere first."""
    return _mix(
        rng, np.tile(_loadings(seed, "areas", _HALF), (2, 1)), np.arange(NUM_REGIONS) % _HALF < _SEX_BLOCK, brain
    )


def draw_edges(rng: np.random.Generator, seed: int, brain: Brain) -> NDArray[np.float64]:
    """Draw one visit's full correlation over 100 components: scaled Fisher z, upper triangle column by column."""
    series_NT = _mix(rng, _loadings(seed, "nodes", NUM_NODES), np.arange(NUM_NODES) < _SEX_BLOCK // 3, brain)
    z_NN = np.arctanh(np.corrcoef(series_NT) * 0.999)
    return np.asarray(z_NN[np.tril_indices(NUM_NODES, -1)] * _EDGE_SCALE, dtype=np.float64)


def series_csv(series_RT: NDArray[np.float32]) -> bytes:
    """Return ``fMRI.Glasser.csv`` with two decimals.

    Numbers are looked up, not formatted: 176,400 of them take 20 ms instead of 200.
    """
    hundredths = np.clip(np.rint(series_RT * 100), -_LARGEST, _LARGEST).astype(np.int64) + _LARGEST
    header = ",".join(["label_name", *(f"timepoint_{t}" for t in range(series_RT.shape[1]))])
    rows = [
        ",".join([label, *map(_TEXTS.__getitem__, row)])
        for label, row in zip(region_labels(), hundredths.tolist(), strict=True)
    ]
    return "\n".join([header, *rows, ""]).encode()


def edges_txt(edges_E: NDArray[np.float64]) -> bytes:
    """Return the one line of a 25751 file."""
    return (" ".join(f"{edge:.4f}" for edge in edges_E.tolist()) + "\n").encode()


def region_labels() -> list[str]:
    """Return the 360 region names, right hemisphere first."""
    return [f"{side}_A{area:03d}_ROI" for side in "RL" for area in range(1, _HALF + 1)]


def _loadings(seed: int, what: str, num_regions: int) -> NDArray[np.float64]:
    """Draw how the cohort's regions follow the networks: one network strongly, the others a little."""
    rng = generator(seed, "loadings", what)
    loadings_RK = rng.normal(0.0, 0.25, (num_regions, _NUM_NETWORKS))
    loadings_RK[np.arange(num_regions), rng.integers(_NUM_NETWORKS, size=num_regions)] += 0.8
    return loadings_RK


def _mix(
    rng: np.random.Generator, loadings_RK: NDArray[np.float64], in_block_R: NDArray[np.bool_], brain: Brain
) -> NDArray[np.float32]:
    num_regions = len(loadings_RK)
    own_RK = loadings_RK + rng.normal(0.0, 0.2, loadings_RK.shape)
    own_RK[:, _DEFAULT_NETWORK] *= 1.0 - 1.2 * brain.fa_loss
    block_R = in_block_R * (0.5 + 0.16 * brain.sex_effect)
    weights_RK = np.column_stack([own_RK, block_R]).astype(np.float32)
    signals_KT = rng.standard_normal((weights_RK.shape[1], NUM_TIMEPOINTS), dtype=np.float32)
    signals_KT = ndimage.gaussian_filter1d(signals_KT, 1.5, axis=1)
    signals_KT /= signals_KT.std(axis=1, keepdims=True)
    noise_RT = rng.standard_normal((num_regions, NUM_TIMEPOINTS), dtype=np.float32)
    return np.asarray(weights_RK @ signals_KT + np.float32(0.8) * noise_RT, dtype=np.float32)
