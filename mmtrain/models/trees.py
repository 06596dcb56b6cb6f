"""Boosted trees of scikit-learn as plain arrays, and a module that predicts from them as scikit-learn does.

Terms
-----
node         of a tree: a sample goes to its left child if one input is at most a threshold, or missing and missing
             ones go left, else to its right child. A leaf is its own child on both sides, and has a value.
ensemble     the trees of one target; their values and a baseline add up to its raw number.

The arrays hold the nodes of all trees, one tree after the other, each node behind its parent.

Why arrays: they are kept, checked and loaded as the weights of every other network, by PyTorch alone. Scikit-learn has
no public access to its trees, so `read_trees` looks at private ones and makes sure that it has understood them. Skops
would tie a model to the version of scikit-learn that made it, and ONNX needs two more libraries and a second kind of
file, and reads the same private attributes.

Legend of shapes: B batch, F inputs of the trees, M nodes, R trees, E ensembles, K outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mmtrain.errors import TrainError

_FIELDS = ("value", "feature_idx", "num_threshold", "missing_go_to_left", "left", "right", "is_leaf", "is_categorical")
_CLOSE = 1e-4
"""Of raw numbers; they are near 1, and float32 rounds to 1e-7."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ensemble:
    """The trees of one target; what points to a node counts from the first of the ensemble."""

    baseline: float
    roots: NDArray[np.int64]
    """The first node of each tree, rising; shape (R,)."""
    value: NDArray[np.float32]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    missing_left: NDArray[np.bool_]

    def first(self, num_trees: int) -> "Ensemble":
        """Return the ensemble of the first trees alone."""
        end = [*self.roots, len(self.value)][num_trees]
        return Ensemble(
            baseline=self.baseline,
            roots=self.roots[:num_trees],
            **{name: getattr(self, name)[:end] for name in _NODES},
        )


_NODES = ("value", "feature", "threshold", "left", "right", "missing_left")
"""Arrays of shape (M,)."""
_LINKS = ("left", "right")


class BoostedTrees(nn.Module):
    """The ensembles of all targets."""

    roots: torch.Tensor
    feature: torch.Tensor
    threshold: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor
    missing_left: torch.Tensor
    baselines: torch.Tensor
    signs: torch.Tensor

    def __init__(self, num_inputs: int, num_trees: Sequence[int], num_nodes: int, num_outputs: int) -> None:
        super().__init__()
        self.num_inputs, self.num_trees = num_inputs, list(num_trees)
        self.value = nn.Parameter(torch.zeros(num_nodes))
        self.register_buffer("roots", torch.zeros(sum(num_trees), dtype=torch.int64))
        self.register_buffer("threshold", torch.zeros(num_nodes))
        self.register_buffer("missing_left", torch.zeros(num_nodes, dtype=torch.bool))
        for name in ("feature", *_LINKS):
            self.register_buffer(name, torch.zeros(num_nodes, dtype=torch.int64))
        self.register_buffer("baselines", torch.zeros(len(num_trees)))
        self.register_buffer("signs", torch.zeros(len(num_trees), num_outputs))
        self.register_load_state_dict_post_hook(_require_trees)

    def forward(self, x_BF: torch.Tensor) -> torch.Tensor:
        """Return outputs (B, K) for inputs in float32, NaN where missing."""
        values_BR = self.value[self._leaves(x_BF)].double()
        sums_BE = torch.stack([part.sum(1) for part in values_BR.split(self.num_trees, dim=1)], dim=1)
        return ((sums_BE + self.baselines) @ self.signs.double()).to(self.value.dtype)

    def _leaves(self, x_BF: torch.Tensor) -> torch.Tensor:
        """Return the leaf of every tree that each sample falls into, shape (B, R)."""
        nodes = self.roots.expand(len(x_BF), -1)
        while True:
            inputs = x_BF.gather(1, self.feature[nodes])
            goes_left = torch.where(inputs.isnan(), self.missing_left[nodes], inputs <= self.threshold[nodes])
            children = torch.where(goes_left, self.left[nodes], self.right[nodes])
            if torch.equal(children, nodes):  # a child is behind its parent or, of a leaf, the leaf: this ends
                return nodes
            nodes = children

    def set_ensembles(self, ensembles: Sequence[Ensemble], signs_EK: NDArray[np.float64]) -> None:
        """Take the trees of each target, and what each output makes of its raw number."""
        starts = np.cumsum([0, *(len(ensemble.value) for ensemble in ensembles)])[:-1]
        with torch.no_grad():
            for name in _NODES:
                getattr(self, name).copy_(torch.from_numpy(np.concatenate([getattr(e, name) for e in ensembles])))
            for name in ("roots", *_LINKS):
                moved = [getattr(e, name) + start for e, start in zip(ensembles, starts, strict=True)]
                getattr(self, name).copy_(torch.from_numpy(np.concatenate(moved)))
            self.baselines.copy_(torch.tensor([ensemble.baseline for ensemble in ensembles]))
            self.signs.copy_(torch.from_numpy(signs_EK))


def trees_of(num_inputs: int, ensembles: Sequence[Ensemble], signs_EK: NDArray[np.float64]) -> BoostedTrees:
    """Return the module of some ensembles."""
    num_trees = [len(ensemble.roots) for ensemble in ensembles]
    num_nodes = sum(len(ensemble.value) for ensemble in ensembles)
    trees = BoostedTrees(num_inputs, num_trees, num_nodes, signs_EK.shape[1])
    trees.set_ensembles(ensembles, signs_EK)
    return trees


def read_trees(model: Any, x_NF: NDArray[np.float32]) -> Ensemble:
    """Return the trees of scikit-learn's histogram gradient boosting.

    Parameters
    ----------
    model
        A fitted regressor of squared error, or a fitted classifier of two classes.
    x_NF
        Samples for which trees and model are compared.

    Raises
    ------
    TrainError
        This version of scikit-learn keeps its trees in another form, or the comparison fails.
    """
    try:
        trees = [tree.nodes for (tree,) in model._predictors]
        fields = {name: np.concatenate([nodes[name] for nodes in trees]) for name in _FIELDS}
        baseline = float(np.ravel(model._baseline_prediction)[0])
        if fields["is_categorical"].any():
            raise ValueError("a node compares categories")
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise _not_understood(str(error)) from error
    sizes = [len(nodes) for nodes in trees]
    roots = np.cumsum([0, *sizes])[:-1]
    is_leaf, own = fields["is_leaf"].astype(bool), np.arange(sum(sizes))
    starts = np.repeat(roots, sizes)
    left, right = (np.where(is_leaf, own, fields[side].astype(np.int64) + starts) for side in _LINKS)
    ensemble = Ensemble(
        baseline=baseline,
        roots=roots,
        value=fields["value"].astype(np.float32),
        feature=np.where(is_leaf, 0, fields["feature_idx"]).astype(np.int64),
        threshold=round_down(fields["num_threshold"]),
        left=left,
        right=right,
        missing_left=fields["missing_go_to_left"].astype(bool),
    )
    raw = model.decision_function if hasattr(model, "classes_") else model.predict
    if not np.allclose(predict_raw(ensemble, x_NF), raw(x_NF), rtol=_CLOSE, atol=_CLOSE):
        raise _not_understood("they predict something else than scikit-learn")
    return ensemble


@torch.inference_mode()
def predict_raw(ensemble: Ensemble, x_NF: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the raw number of each sample, shape (N,)."""
    trees = trees_of(x_NF.shape[1], [ensemble], np.ones((1, 1)))
    raw: NDArray[np.float64] = trees(torch.from_numpy(x_NF))[:, 0].double().numpy()
    return raw


def round_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the largest float32 that is not above each threshold: no float32 lies between the two.

    >>> round_down(np.array([0.1, 0.5])).tolist()
    [0.09999999403953552, 0.5]
    """
    nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def _require_trees(trees: nn.Module, _: Any) -> None:
    """Refuse nodes, read from a file, that are no trees: one might never come to an end."""
    assert isinstance(trees, BoostedTrees)
    num_nodes = len(trees.value)
    own = torch.arange(num_nodes, device=trees.left.device)
    is_tree = [_within(trees.roots, num_nodes), _within(trees.feature, max(1, trees.num_inputs))]
    is_tree += [_within(links, num_nodes) and bool((links >= own).all()) for links in (trees.left, trees.right)]
    if not all(is_tree):
        raise RuntimeError("its nodes are no trees")


def _within(indices: torch.Tensor, end: int) -> bool:
    return bool(((indices >= 0) & (indices < end)).all())


def _not_understood(why: str) -> TrainError:
    import sklearn

    return TrainError(
        f"The trees of scikit-learn {sklearn.__version__} are not in the form that mm reads: {why}.",
        "Install another version of scikit-learn; mm is tested with the one in its constraints.txt.",
    )
