"""A signal that was planted is found where it is, and a model that has learnt none shows none.

The statistic is how densely absolute attributions lie in the planted cube: their share of all, over the cube's share of
the volume. 1 is what chance gives; a map that is all in the cube has 64.

Source: Adebayo et al. 2018, Sanity checks for saliency maps, arXiv 1810.03292 (models trained on shuffled labels).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch

from mmtrain.data.scaling import fit_features
from mmtrain.explain.explainer import Method
from mmtrain.explain.groups import find_groups
from mmtrain.explain.inputs import Inputs
from mmtrain.explain.means import GroupMeans
from mmtrain.explain.ranking import rank_parts
from mmtrain.models.networks.fusion import FusionNet
from mmtrain.models.trained import TrainedModel
from mmtrain.targets.kinds import classification
from tests.mmtrain.explain.made_models import explainer_of, in_batches, model_of, train

SIDE, CUBE, NUM, NUM_EXPLAINED = 16, 4, 256, 32
PLANTED = (slice(8, 12), slice(4, 8), slice(8, 12))
DENSE, CHANCE = 4.0, 2.0
"""Densities that tell a signal from none."""
METHODS: tuple[Method, ...] = ("integrated-gradients", "occlusion")


@cache
def fields() -> tuple[torch.Tensor, np.ndarray]:
    """Return volumes whose every cube has a brightness of its own, and whether the planted one is bright."""
    rng = np.random.default_rng(11)
    num = SIDE // CUBE
    cubes = rng.uniform(-0.9, 0.9, (NUM, num, num, num))
    volumes = cubes.repeat(CUBE, 1).repeat(CUBE, 2).repeat(CUBE, 3) + rng.normal(0, 0.1, (NUM, SIDE, SIDE, SIDE))
    is_bright = volumes[:, *PLANTED].mean((1, 2, 3)) > 0
    return torch.from_numpy(np.clip(volumes, -1, 1)).float()[:, None], is_bright


def trained_on(labels: str) -> TrainedModel:
    """Return a small network of the reference's kind, trained on the planted labels or on shuffled ones."""
    torch.manual_seed(1)
    volumes, is_bright = fields()
    classes = is_bright if labels == "planted" else np.random.default_rng(2).permutation(is_bright)
    network = FusionNet(side=SIDE, channels=(4, 8), present=(1,), num_edges=0, num_features=0, num_outputs=2)
    train(network, (volumes, None, None), classes, epochs=12)
    return model_of(network, kind=classification.Kind(), volumes=("t1",), side=SIDE)


@dataclass(frozen=True)
class Found:
    density: float
    peak: tuple[int, ...]


def look(model: TrainedModel, method: Method) -> Found:
    """Return where the mean absolute attributions of a model lie."""
    volumes, is_bright = (part[:NUM_EXPLAINED] for part in fields())
    kind, target = model.card.fitted.kinds[0], model.card.targets[0]
    groups = find_groups(target, kind, is_bright.astype(float), np.arange(NUM_EXPLAINED))
    means = GroupMeans(groups.told, (1, SIDE, SIDE, SIDE))
    explainer = explainer_of(model, method=method, steps=16, cube=CUBE)
    for number, batch in enumerate(in_batches(Inputs(volumes_BCXYZ=volumes), explainer.batch_size)):
        maps = explainer.explain(batch).volumes_BCXYZ
        assert maps is not None and batch.volumes_BCXYZ is not None
        means.add(number * explainer.batch_size, maps, batch.volumes_BCXYZ.numpy())
    sizes = means.mean_size(0)[0]
    density = sizes[PLANTED].sum() / sizes.sum() * (SIDE / CUBE) ** 3
    return Found(float(density), tuple(int(i) for i in np.unravel_index(sizes.argmax(), sizes.shape)))


def test_a_planted_signal_is_found_where_it_was_planted_by_both_methods() -> None:
    model = trained_on("planted")
    for method in METHODS:
        found = look(model, method)
        assert all(within.start <= index < within.stop for index, within in zip(found.peak, PLANTED, strict=True))
        assert found.density > DENSE


def test_a_model_of_shuffled_labels_shows_no_signal_there_by_either_method() -> None:
    model = trained_on("shuffled")
    assert all(look(model, method).density < CHANCE for method in METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_the_ranking_of_features_begins_with_the_planted_one(method: Method) -> None:
    torch.manual_seed(1)
    rng = np.random.default_rng(12)
    names = [f"feature {i}" for i in range(6)]
    values = rng.normal(50, 10, (NUM, 6))
    values[rng.random((NUM, 6)) < 0.1] = np.nan
    scaler = fit_features(names, values, names)
    columns = torch.from_numpy(scaler.scale(values))
    network = FusionNet(side=SIDE, channels=(), present=(), num_edges=0, num_features=12, num_outputs=2)
    train(network, (None, None, columns), np.nan_to_num(values[:, 4], nan=0.0) > 50, epochs=8)
    model = model_of(network, kind=classification.Kind(), features=scaler)
    attribution = explainer_of(model, method=method).explain(Inputs(features_BF=columns[:NUM_EXPLAINED]))
    assert attribution.features_BF is not None
    found = attribution.features_BF
    first, second, *_ = rank_parts(names, found, np.abs(found), np.arange(NUM_EXPLAINED), seed=1)
    assert first.name == "feature 4"
    assert first.interval is not None and second.interval is not None
    assert first.interval[0] > second.interval[1]
