"""Which stored scans of different participants are one scan, however it was saved.

Terms
-----
signature    a scan in at most 16 x 16 x 16 blocks (12 mm of a 192 mm cube), those of the cohort's brain; or its edges
             in at most 512 runs of neighbours.
residual     what a signature has of its own: neither the cohort's mean, nor the mean in another scale, gamma, offset or
             linear bias, any of which saving it again may have changed. Each block counts by how little it differs
             between scans.
similarity   cosine of two residuals, -1 to 1.

Measured on synthetic cohorts (400 participants with 4 mm voxels and 12 repeat visits, 100 with 2 mm and 3) at side 64,
over T1, FLAIR, FA and connectomes:

unrelated people                                                                       at most 0.63
one person two to four years later, whose synthetic anatomy hardly changes             0.82 to 0.94; 0.97 at 2 mm
copies: saved in 8 bits, scaled by 0.9, offset by 3 %, gamma of 1.1, 10 % linear bias  at least 0.99
copies with Gaussian noise of 3 % of the range (0.05 in connectomes)                   at least 0.97
copies with Gaussian noise of 6 % of the range                                         at least 0.93

`MIN_SIMILARITY` is far above what strangers have in common, and above nearly all repeats: whoever is found under two
names is one scan, or one person at least. Copies that were moved by a millimetre, smoothed or given much noise are
missed; at side 32 noise of 3 % is much.

All pairs are compared, so that a copy is found in a study of any size. Strangers become more alike the more pairs there
are: residuals of random directions, of as many independent numbers as the 0.63 among 400 participants tells (37),
reach 0.67 among 1,000, 0.76 among 10,000 and 0.82 among 100,000. That is extrapolated, not measured.

Memory is one signature of each scan, about 5 KB, and one block of products: 0.8 GB for 100,000 scans. Comparing these
takes 13 TFLOP, three minutes on two busy cores; reading and averaging them takes about as long.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orth

from mmdata.qc.mean import read_batches, spread_evenly
from mmdata.store.array import StoredArray

MIN_SIMILARITY = 0.96
"""Of two scans that are called nearly identical."""
MIN_SCANS = 8
"""With fewer, one odd scan pulls the mean away and all others look alike."""
MAX_PAIRS = 1_000_000
"""The search ends there: whatever is wrong shows in so many, and memory stays bounded."""
_BLOCKS_PER_EDGE, _EDGE_RUNS = 16, 512
_BRAIN_SHARE = 0.1
"""Blocks whose cohort mean is below this share of the brightest block's are background."""
_SCANS_FOR_BRAIN = 200
_LEAST_WEIGHT_SPREAD = 0.2
"""Of the largest spread of a block between scans: less does not make a block count more."""
_SCANS_PER_PRODUCT = 4096
_ROUNDING = 10 * float(np.finfo(np.float32).eps)
"""A residual that is a smaller part of the mean is nothing but rounding."""

Signatures = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SimilarPair:
    """Two rows of one array that are nearly identical."""

    row: int
    other_row: int
    """The larger one."""
    similarity: float


def find_similar(
    array: StoredArray, rows: Sequence[int], participants: Sequence[str], on_read: Callable[[int], None]
) -> list[SimilarPair]:
    """Find the pairs of stored scans that are nearly identical though they are of different participants.

    Rows that are damaged are passed over.

    Parameters
    ----------
    array
        Un-augmented volumes or edges of one modality; the coarsest level that is stored is enough.
    rows
        Stored rows.
    participants
        Whose each row is.
    on_read
        Called after each batch with the number of rows that were tried.

    Returns
    -------
    list of SimilarPair
        The most similar first; at most `MAX_PAIRS`, none where there are fewer than `MIN_SCANS` scans.
    """
    if len(rows) < MIN_SCANS:
        return []
    read_rows, signatures_ND, positions_DX = _read_signatures(array, rows, on_read)
    if len(read_rows) < MIN_SCANS:
        return []
    _reduce_to_residuals(signatures_ND, positions_DX)
    numbers = {participant: number for number, participant in enumerate(sorted(set(participants)))}
    person_of_row = {row: numbers[participant] for row, participant in zip(rows, participants, strict=True)}
    person_N = np.array([person_of_row[row] for row in read_rows])
    pairs = [
        SimilarPair(min(read_rows[n], read_rows[m]), max(read_rows[n], read_rows[m]), similarity)
        for n, m, similarity in _similar_indices(signatures_ND, person_N)
    ]
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.row, pair.other_row))


def _read_signatures(
    array: StoredArray, rows: Sequence[int], on_read: Callable[[int], None]
) -> tuple[list[int], Signatures, NDArray[np.float32]]:
    """Read every scan once.

    Returns
    -------
    list of int
        The N rows that could be read.
    array
        Their signatures, shape (N, D).
    array
        Where each number of a signature lies along the axes of a row, -1 to 1, shape (D, number of axes).
    """
    pools = [_pooling_matrix(size, len(array.row_shape)) for size in array.row_shape]
    positions_DX = _positions([pool.shape[1] for pool in pools])
    kept_D = np.arange(len(positions_DX))
    if len(pools) > 1:
        sampled = read_batches(array, spread_evenly(rows, _SCANS_FOR_BRAIN), lambda _: None)
        totals = [_pool(stored, pools).sum(axis=0, dtype=np.float64) for _, stored in sampled]
        total_D = np.sum(totals, axis=0) if totals else np.zeros(len(positions_DX))
        kept_D = np.flatnonzero(total_D > _BRAIN_SHARE * total_D.max())
    signatures_ND = np.empty((len(rows), len(kept_D)), np.float32)
    read_rows: list[int] = []
    for batch_rows, stored in read_batches(array, rows, on_read):
        signatures_ND[len(read_rows) : len(read_rows) + len(batch_rows)] = _pool(stored, pools)[:, kept_D]
        read_rows += batch_rows
    return read_rows, signatures_ND[: len(read_rows)], positions_DX[kept_D]


def _pooling_matrix(size: int, num_axes: int) -> NDArray[np.float32]:
    """Return what turns values along one axis into means of blocks of neighbours, shape (size, number of blocks)."""
    num_blocks = min(size, _EDGE_RUNS if num_axes == 1 else _BLOCKS_PER_EDGE)
    bounds = np.linspace(0, size, num_blocks + 1).round().astype(int)
    matrix = np.zeros((size, num_blocks), np.float32)
    for block, (first, last) in enumerate(pairwise(bounds)):
        matrix[first:last, block] = 1 / (last - first)
    return matrix


def _positions(num_blocks: Sequence[int]) -> NDArray[np.float32]:
    """Return the blocks' positions along each axis, in the order in which `_pool` returns them."""
    axes = [np.linspace(-1, 1, number, dtype=np.float32) for number in num_blocks]
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)


def _pool(stored: NDArray[Any], pools: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Average rows over blocks; return shape (number of rows, number of blocks), the last axis fastest."""
    num_rows = len(stored)
    values = stored.astype(np.float32)
    for axis in reversed(range(len(pools))):  # each axis in turn, so that every step is one matrix product
        before = num_rows * int(np.prod(stored.shape[1 : axis + 1]))
        values = pools[axis].T @ values.reshape(before, stored.shape[axis + 1], -1)
    return values.reshape(num_rows, -1)


def _reduce_to_residuals(signatures_ND: Signatures, positions_DX: NDArray[np.float32]) -> None:
    """Turn signatures into residuals of length 1, in place; a scan that is all mean becomes 0."""
    mean_D = signatures_ND.mean(axis=0, dtype=np.float64)
    like_mean_DK = _directions_of_mean(mean_D, positions_DX)
    squares_D = np.zeros(len(mean_D))
    for start in range(0, len(signatures_ND), _SCANS_PER_PRODUCT):
        part_ND = signatures_ND[start : start + _SCANS_PER_PRODUCT]
        part_ND -= mean_D.astype(np.float32)
        part_ND -= (part_ND @ like_mean_DK) @ like_mean_DK.T
        squares_D += np.square(part_ND).sum(axis=0, dtype=np.float64)
    spread_D = np.sqrt(squares_D / len(signatures_ND))
    weight_D = 1 / np.maximum(spread_D, _LEAST_WEIGHT_SPREAD * spread_D.max() or 1.0)
    rounding = _ROUNDING * float(np.linalg.norm(mean_D * weight_D))
    for start in range(0, len(signatures_ND), _SCANS_PER_PRODUCT):
        part_ND = signatures_ND[start : start + _SCANS_PER_PRODUCT]
        part_ND *= weight_D.astype(np.float32)
        lengths_N1 = np.linalg.norm(part_ND, axis=1, keepdims=True)
        part_ND /= np.where(lengths_N1 > rounding, lengths_N1, np.inf)


def _directions_of_mean(mean_D: NDArray[np.float64], positions_DX: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an orthonormal basis of what changes a scan without making it another: shape (D, K)."""
    directions = [np.ones_like(mean_D), mean_D, mean_D**2]
    if positions_DX.shape[1] > 1:
        directions += [mean_D * position_D for position_D in positions_DX.T]
    columns = [direction / (np.linalg.norm(direction) or 1.0) for direction in directions]
    basis: NDArray[np.float32] = orth(np.stack(columns, axis=1)).astype(np.float32)
    return basis


def _similar_indices(residuals_ND: Signatures, person_N: NDArray[np.int64]) -> list[tuple[int, int, float]]:
    """Return the pairs of different people whose residuals are similar, by blocks of products."""
    found: list[tuple[int, int, float]] = []
    starts = range(0, len(residuals_ND), _SCANS_PER_PRODUCT)
    for start, other_start in combinations_with_replacement(starts, 2):
        part_ND = residuals_ND[start : start + _SCANS_PER_PRODUCT]
        products_NM = part_ND @ residuals_ND[other_start : other_start + _SCANS_PER_PRODUCT].T
        near_N, near_M = np.nonzero(products_NM >= MIN_SIMILARITY)
        indices_N, indices_M = near_N + start, near_M + other_start
        is_pair = (indices_N < indices_M) & (person_N[indices_N] != person_N[indices_M])
        similarities = np.minimum(products_NM[near_N, near_M][is_pair], 1.0)
        found += zip(indices_N[is_pair].tolist(), indices_M[is_pair].tolist(), similarities.tolist(), strict=True)
        if len(found) >= MAX_PAIRS:
            break
    return found[:MAX_PAIRS]
