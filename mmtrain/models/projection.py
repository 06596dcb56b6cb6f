"""A part of the inputs, projected onto its first principal components over the training samples.

Legend of shapes: B batch, N samples, D numbers of a part, K components.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

NUM_COMPONENTS = 256
"""Of each part, at most."""
CHUNK = 256
"""Samples that are projected together."""
OVERSAMPLED = NUM_COMPONENTS + 10
"""Columns of the matrices that scikit-learn's randomised decomposition works with."""
POWER = 2
"""Power iterations of it: scikit-learn's own choice, 4 or 7, reads the part three times as often."""
SMALL = 320
"""Samples up to which scikit-learn decomposes the whole matrix."""


class Projection(nn.Module):
    """One part onto its principal components.

    It computes in float64 and rounds to float32, so that a sample has the same components in any batch and on any
    device: trees compare them with thresholds.
    """

    mean: torch.Tensor
    components: torch.Tensor

    def __init__(self, num_inputs: int, num_components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_inputs))
        self.register_buffer("components", torch.zeros(num_components, num_inputs))

    def forward(self, x_BD: torch.Tensor) -> torch.Tensor:
        """Return components (B, K)."""
        return ((x_BD.double() - self.mean.double()) @ self.components.double().T).float()

    def first(self, num_components: int) -> "Projection":
        """Return a projection onto the first components alone; it shares no memory with this one."""
        first = Projection(len(self.mean), min(num_components, len(self.components)))
        first.mean.copy_(self.mean)
        first.components.copy_(self.components[: len(first.components)])
        return first

    def copied(self) -> "Projection":
        """Return the same projection in other memory."""
        return self.first(len(self.components))


def fit_projection(x_ND: NDArray[np.float32], seed: int) -> Projection:
    """Return the projection onto the first principal components, of which there are fewer than samples.

    Source: scikit-learn's PCA, randomised (Halko et al. 2011, arXiv 0909.4061) where that is faster.
    """
    from sklearn.decomposition import PCA

    num_samples, num_inputs = x_ND.shape
    num_components = max(1, min(NUM_COMPONENTS, num_samples - 1, num_inputs))
    power = {"iterated_power": POWER, "power_iteration_normalizer": "LU"}  # float32 does not hold bare powers
    pca = PCA(num_components, random_state=seed, **power).fit(x_ND)
    projection = Projection(num_inputs, num_components)
    projection.mean.copy_(torch.from_numpy(pca.mean_))
    projection.components.copy_(torch.from_numpy(pca.components_))
    return projection


@torch.inference_mode()
def project(projection: Projection, x_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the components of all samples, shape (N, K), as the projection itself computes them."""
    mean, weights_DK = projection.mean.double(), projection.components.double().T  # once for all, they are large
    chunks = torch.from_numpy(x_ND).to(mean.device).split(CHUNK)
    components_NK = torch.cat([((chunk.double() - mean) @ weights_DK).float() for chunk in chunks])
    components: NDArray[np.float32] = components_NK.cpu().numpy()
    return components
