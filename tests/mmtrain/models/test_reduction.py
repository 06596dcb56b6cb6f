"""Inputs made small: block means by numpy, components by the eigenvectors of a covariance, memory as measured."""

import tracemalloc

import numpy as np
import pytest
import torch

from mmtrain.models.projection import fit_projection, project
from mmtrain.models.protocol import NetworkShape
from mmtrain.models.reduction import coarse_side, memory_bytes, part_sizes, reduce_inputs


def test_volumes_are_averaged_in_blocks_and_the_rest_is_as_it_is() -> None:
    shape = NetworkShape(volumes=("flair", "t1"), side=32, num_edges=5, num_features=4, num_outputs=1)
    generator = torch.Generator().manual_seed(1)
    volumes, edges, features = (torch.rand(size, generator=generator) for size in ((3, 2, 32, 32, 32), (3, 5), (3, 4)))
    flair, t1, connectivity, table = reduce_inputs(coarse_side(shape), volumes, edges, features)
    blocks = volumes.numpy().reshape(3, 2, 16, 2, 16, 2, 16, 2).mean((3, 5, 7))
    assert flair.numpy() == pytest.approx(blocks[:, 0].reshape(3, -1), rel=1e-5)
    assert t1.numpy() == pytest.approx(blocks[:, 1].reshape(3, -1), rel=1e-5)
    assert torch.equal(connectivity, edges) and torch.equal(table, features)
    assert part_sizes(shape) == (16**3, 16**3, 5, 4)


@pytest.mark.parametrize("num_samples", [40, 400])
def test_components_are_those_of_the_covariance(num_samples: int) -> None:
    rng = np.random.default_rng(4)
    x_ND = (rng.normal(size=(num_samples, 6)) @ rng.normal(size=(6, 30)) * 3 + 7).astype(np.float32)
    projection = fit_projection(x_ND, seed=0)
    values, vectors = np.linalg.eigh(np.cov(x_ND.T.astype(np.float64)))
    expected = (x_ND - x_ND.mean(0)) @ vectors[:, ::-1][:, :6]
    found = project(projection, x_ND)[:, :6]
    assert np.abs(found) == pytest.approx(np.abs(expected), abs=1e-3)
    assert found.var(0, ddof=1) == pytest.approx(values[::-1][:6], rel=1e-3)


def test_a_sample_has_the_same_components_in_any_batch() -> None:
    """To the last bit: trees compare them with thresholds that lie on training samples."""
    rng = np.random.default_rng(5)
    x_ND = rng.normal(size=(300, 500)).astype(np.float32)
    projection = fit_projection(x_ND, seed=0)
    whole = project(projection, x_ND)
    assert all(
        np.array_equal(project(projection, x_ND[i : i + size]), whole[i : i + size]) for i, size in ((7, 1), (3, 90))
    )


@pytest.mark.parametrize("num_training", [150, 1200])
def test_a_fit_takes_no_more_memory_than_was_said(num_training: int) -> None:
    shape = NetworkShape(volumes=("t1",), side=16, num_edges=3000, num_outputs=1)
    said = memory_bytes(shape, num_training, 0)
    rng = np.random.default_rng(6)
    tracemalloc.start()
    try:
        parts = [np.empty((num_training, size), np.float32) for size in part_sizes(shape)]
        for part in parts:
            rng.standard_normal(out=part, dtype=np.float32)
        for part in parts:
            project(fit_projection(part, 0), part)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert said / 5 < peak < said
