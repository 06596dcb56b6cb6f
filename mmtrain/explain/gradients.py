"""Integrated gradients by captum: the gradient along the straight way from the baseline to the sample, integrated.

They add up to the difference between the model's outputs for the sample and for the baseline. How nearly they do so
says whether the steps suffice: see `mmtrain.explain.completeness`.

Source: Sundararajan, Taly and Yan 2017, Axiomatic attribution for deep networks, arXiv 1703.01365; Gauss-Legendre
quadrature as captum has it.
"""

import numpy as np
import torch

from mmtrain.data.scaling import FeatureScaler
from mmtrain.explain.attribution import Attribution, Floats
from mmtrain.explain.columns import columns_of_features
from mmtrain.explain.inputs import Inputs
from mmtrain.explain.library import load_captum
from mmtrain.explain.regions import sum_by_region
from mmtrain.explain.scalar import TargetScalar


def integrate_gradients(
    scalar: TargetScalar, inputs: Inputs, baseline: Inputs, scaler: FeatureScaler, *, steps: int, pass_size: int
) -> Attribution:
    """Return the integrated gradients of a batch.

    Parameters
    ----------
    baseline
        A batch of one.
    steps
        Points of the quadrature.
    pass_size
        Samples that go through the network at once; as many as the batch has, at least.
    """
    captum = load_captum()
    with torch.no_grad():
        output_B, baseline_B = scalar(*inputs.given), scalar(*baseline.given)
    parts = captum.IntegratedGradients(scalar).attribute(
        inputs.given,
        baselines=baseline.given,
        n_steps=steps,
        method="gausslegendre",
        internal_batch_size=max(pass_size, len(inputs)),
    )
    of_inputs = inputs.with_parts(tuple(part.detach().cpu() for part in parts))
    volumes, edges, features = of_inputs.volumes_BCXYZ, of_inputs.edges_BE, of_inputs.features_BF
    edges_BE = None if edges is None else edges.double().numpy()
    return Attribution(
        output_B=output_B.double().cpu().numpy(),
        baseline=float(baseline_B),
        volumes_BCXYZ=None if volumes is None else volumes.float().numpy(),
        regions_BR=None if edges_BE is None else sum_by_region(edges_BE),
        region_sizes_BR=None if edges_BE is None else sum_by_region(np.abs(edges_BE)),
        features_BF=None if features is None else features.double().numpy()[:, columns_of_features(scaler)].sum(axis=2),
        inputs_BI=_sum_inputs(of_inputs),
    )


def _sum_inputs(of_inputs: Inputs) -> Floats:
    """Return the sum of each volume, of connectivity and of the features, shape (B, I)."""
    volumes = () if of_inputs.volumes_BCXYZ is None else of_inputs.volumes_BCXYZ.unbind(1)
    others = (part for part in (of_inputs.edges_BE, of_inputs.features_BF) if part is not None)
    sums = [part.double().flatten(1).sum(1) for part in (*volumes, *others)]
    return np.asarray(torch.stack(sums, dim=1).numpy())
