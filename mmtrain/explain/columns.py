"""Which columns of a network's tabular input are whose."""

import numpy as np
from numpy.typing import NDArray

from mmtrain.data.scaling import FeatureScaler


def columns_of_features(scaler: FeatureScaler) -> NDArray[np.int64]:
    """Return the columns of each feature that the model sees: its value, and where there is one, whether it is missing.

    Returns
    -------
    array
        Shape (F, 1) for raw features, else (F, 2).
    """
    shown = np.flatnonzero(scaler.shown)
    if scaler.scaling == "raw":
        return shown[:, None]
    return np.stack([shown, shown + len(scaler.names)], axis=1)
