"""Resting-state signals: a few latent networks, how strongly each region follows them, and noise of each region's own.

Planted: a block of regions shares one more signal, stronger in men; the default network's regions follow it less with
age. Left and right regions of one area follow the same networks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmdata.synth.participant import Brain
from mmdata.synth.plan import EDGES_FIELD, GLASSER_FIELD, SCHAEFER_FIELD, TIAN_FIELD
from mmdata.synth.seeds import generator

NUM_TIMEPOINTS = 490
_NUM_NETWORKS = 12
_DEFAULT_NETWORK = 3
_AREAS_PER_BLOCK_AREA = 6
"""One area in six belongs to the block that differs by sex."""
_LARGEST = 999
_TEXTS = [f"{value / 100:.2f}" for value in range(-_LARGEST, _LARGEST + 1)]
_EDGE_SCALE = 15.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcellation:
    """One set of regions with a time series each."""

    field: str
    num_regions: int
    """Half of them on the right, which come first."""
    stream: str
    """What its random numbers are named for."""
    cohort_stream: str
    """What those are named for that all participants share."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeKind:
    """One of UK Biobank's own connectivity matrices."""

    num_nodes: int
    """21 of 25 components are signal, 55 of 100."""
    stream: str
    """What the random numbers of its time series are named for: full and partial correlation share them."""
    is_partial: bool


def _parcellation(field: str, num_regions: int, name: str) -> Parcellation:
    return Parcellation(field=field, num_regions=num_regions, stream=name, cohort_stream=name)


PARCELLATIONS = {
    "Glasser": Parcellation(field=GLASSER_FIELD, num_regions=360, stream="glasser", cohort_stream="areas"),
    **{name: _parcellation(SCHAEFER_FIELD, 100, name) for name in ("Schaefer7n100p", "Schaefer17n100p")},
    **{
        name: _parcellation(TIAN_FIELD, num_regions, name)
        for name, num_regions in zip(
            (f"Tian_Subcortex_S{scale}_3T" for scale in (1, 2, 3, 4)), (16, 32, 50, 54), strict=True
        )
    },
}
"""By the name of their file."""
SERIES_FIELDS = (GLASSER_FIELD, SCHAEFER_FIELD, TIAN_FIELD)
EDGES = {
    EDGES_FIELD: EdgeKind(num_nodes=55, stream="edges", is_partial=False),
    "25750": EdgeKind(num_nodes=21, stream="edges-21", is_partial=False),
    "25752": EdgeKind(num_nodes=21, stream="edges-21", is_partial=True),
    "25753": EdgeKind(num_nodes=55, stream="edges", is_partial=True),
}
"""By field."""


def draw_series(rng: np.random.Generator, seed: int, kind: Parcellation, brain: Brain) -> NDArray[np.float32]:
    """Draw one visit's time series as files hold them, with two decimals: shape (regions, timepoints)."""
    num_areas = kind.num_regions // 2
    in_block_R = np.arange(kind.num_regions) % num_areas < num_areas // _AREAS_PER_BLOCK_AREA
    series_RT = _mix(rng, np.tile(_loadings(seed, kind.cohort_stream, num_areas), (2, 1)), in_block_R, brain)
    hundredths_RT = np.clip(np.rint(series_RT * 100), -_LARGEST, _LARGEST)
    return np.asarray(hundredths_RT / np.float32(100), dtype=np.float32)


def draw_edges(rng: np.random.Generator, seed: int, kind: EdgeKind, brain: Brain) -> NDArray[np.float64]:
    """Draw one visit's correlations of components: scaled Fisher z, upper triangle column by column."""
    in_block_N = np.arange(kind.num_nodes) < kind.num_nodes * 2 // 11
    series_NT = _mix(rng, _loadings(seed, "nodes", kind.num_nodes), in_block_N, brain)
    correlation_NN = _partial_correlation(series_NT) if kind.is_partial else np.corrcoef(series_NT)
    z_NN = np.arctanh(correlation_NN * 0.999)
    return np.asarray(z_NN[np.tril_indices(kind.num_nodes, -1)] * _EDGE_SCALE, dtype=np.float64)


def series_csv(series_RT: NDArray[np.float32]) -> bytes:
    """Return a file such as ``fMRI.Glasser.csv``.

    Numbers are looked up, not formatted: 176,400 of them take 20 ms instead of 200.
    """
    hundredths = np.rint(series_RT * 100).astype(np.int64) + _LARGEST
    header = ",".join(["label_name", *(f"timepoint_{t}" for t in range(series_RT.shape[1]))])
    rows = [
        ",".join([label, *map(_TEXTS.__getitem__, row)])
        for label, row in zip(_region_labels(len(series_RT)), hundredths.tolist(), strict=True)
    ]
    return "\n".join([header, *rows, ""]).encode()


def edges_txt(edges_E: NDArray[np.float64]) -> bytes:
    """Return the one line of a file such as ``EID_25751_2_0.txt``."""
    return (" ".join(f"{edge:.4f}" for edge in edges_E.tolist()) + "\n").encode()


def _region_labels(num_regions: int) -> list[str]:
    """Return region names, right hemisphere first."""
    return [f"{side}_A{area:03d}_ROI" for side in "RL" for area in range(1, num_regions // 2 + 1)]


def _partial_correlation(series_NT: NDArray[np.float32]) -> NDArray[np.float64]:
    precision_NN = np.linalg.inv(np.corrcoef(series_NT))
    scale_N = np.sqrt(np.diag(precision_NN))
    return np.asarray(-precision_NN / np.outer(scale_N, scale_N), dtype=np.float64)


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
