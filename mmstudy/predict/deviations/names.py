"""Every name of a mismatch, and what it means: what `mm predict --allow` takes and docs/refusals.md explains."""

from mmstudy.predict.deviation import Deviation

NAMES = {
    "x-flipped": "Left and right are exchanged.",
    "wrong-orientation": "The brain lies turned, or mirrored from front to back or top to bottom.",
    "other-grid": "The volume lies on another grid than the model's: another extent, centre or voxel size.",
    "other-space": "The volume lies in another space than the model's, e.g. warped to MNI152 for an affine one.",
    "off-centre": "The brain does not lie where it does in the training scans.",
    "other-size": "The brain is larger or smaller on the grid than in the training scans.",
    "part-missing": "A part of the brain was not recorded, or was cut off.",
    "not-skull-stripped": "Skull, scalp or eyes are left around the brain.",
    "outside-template": "The brain does not overlap the MNI152 brain, so the transform is wrong.",
    "unlike-training": "The volume is unlike the training scans, and no simple cause explains it.",
    "other-contrast": "The image has another contrast, e.g. a T2 where the model expects a FLAIR.",
    "inverted-contrast": "Bright and dark are exchanged.",
    "other-modality": "The image looks like another of the model's inputs, e.g. a FLAIR given as a T1.",
    "other-diffusion-map": "The image is another diffusion map than the model's, e.g. MD where it expects FA.",
    "other-intensities": "The distribution of intensities inside the brain is unlike the training scans'.",
    "clamp-region": "Intensities were clamped at percentiles of the whole image where the model expects those of the "
    "brain, or the other way round.",
    "clamp-percentiles": "Intensities were clamped at other percentiles.",
    "other-sampling": "Volumes were interpolated in another way.",
    "coarse-voxels": "The image is smoother than the training scans, as with larger voxels.",
    "noisy": "Neighbouring voxels differ more than in the training scans.",
    "label-maps": "The image is a map of labels, not of intensities.",
    "no-contrast": "The brain has the same value everywhere.",
    "out-of-range": "Values lie outside the range that the model takes, or are NaN or infinite.",
    "other-parcellation": "The edges are of another atlas, or in another order.",
    "other-measure": "The edges are another measure: Fisher z for r, r for Fisher z, partial for full correlation.",
    "empty-regions": "More regions are without a signal than in the training connectomes.",
    "wrong-field": "The table has another field than the model's, e.g. age at recruitment for age at the visit.",
    "other-unit": "A value is in another unit, e.g. months for years.",
    "wrong-code": "A value is no code that the model knows.",
    "implausible-value": "A value is none that a living person can have.",
    "outside-age-range": "The person is younger or older than the people whom the model was trained on.",
    "outside-training-range": "A value is far from those that the model was trained on.",
}
"""Name to a sentence; in the order of the documentation."""


def deviation(name: str, where: str, *, expected: str, got: str, remedy: str) -> Deviation:
    """Return a mismatch of a known name.

    Raises
    ------
    KeyError
        There is no such name: our own mistake.
    """
    NAMES[name]
    return Deviation(name=name, where=where, expected=expected, got=got, remedy=remedy)
