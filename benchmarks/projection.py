"""What the reference study's 700 models would take on a machine whose samples a second are known.

Hours = sum over imaging inputs of models x epochs x training samples / samples a second / 3,600.
"""

from collections.abc import Mapping

PUBLISHED_GPU_HOURS = 4_526
"""On NVIDIA P100, Ruffle et al., NeuroImage 2024."""
TRAINING_SAMPLES = 19_048
"""Eight tenths of 23,810 participants."""
EPOCHS = 60
"""Assumed for every model: the best after 30, and the 30 of patience. The paper does not give them."""
IMAGING_INPUTS = {"none": 0, "dwi": 1, "flair+t1": 2, "flair+t1+dwi": 3}
"""Imaging inputs of the study's models, and how many volumes each is."""
NUM_CONSTITUTIONAL, NUM_OTHER_TARGETS, NUM_METADATA_SETS = 4, 21, 4


def count_models() -> dict[str, int]:
    """Return how many of the study's models have each imaging input.

    Every imaging input comes with and without connectivity. The four constitutional targets have no metadata, so
    one combination has no input at all; the others come with four sets of metadata.

    >>> count_models()
    {'none': 172, 'dwi': 176, 'flair+t1': 176, 'flair+t1+dwi': 176}
    """
    return {
        name: NUM_CONSTITUTIONAL * (2 if volumes else 1) + NUM_OTHER_TARGETS * NUM_METADATA_SETS * 2
        for name, volumes in IMAGING_INPUTS.items()
    }


def project_study(
    samples_per_second: Mapping[str, float], *, epochs: float = EPOCHS, training_samples: int = TRAINING_SAMPLES
) -> float:
    """Return the device hours of all 700 models.

    Parameters
    ----------
    samples_per_second
        From end to end on one device, for each of `IMAGING_INPUTS`.
    epochs
        Of each model.
    training_samples
        In each epoch; fewer where the majority class of a binary target is undersampled, which is not counted.
    """
    return sum(
        number * epochs * training_samples / samples_per_second[name] / 3600 for name, number in count_models().items()
    )
