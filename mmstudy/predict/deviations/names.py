"""Every name of a mismatch, and what it means: what `mm predict --allow` takes and docs/refusals.md explains."""

from mmstudy.predict.deviation import Deviation

NAMES = {
    "x-flipped": "Left and right seem to be exchanged in the image.",
    "wrong-orientation": "The brain seems to lie turned in the image, or mirrored from front to back or top to bottom.",
    "other-grid": "The image covers another part of space, or has voxels of another size, than the model's images.",
    "other-space": "The image was fitted to the standard brain in another way than the model's images, e.g. by a local "
    "warp.",
    "off-centre": "The brain does not lie in the expected place in the image.",
    "other-size": "The brain in the image is larger or smaller than expected; often a voxel size is wrong.",
    "part-missing": "A part of the brain is not in the image: it was not recorded, or was cut off.",
    "not-skull-stripped": "Skull, scalp or eyes seem to be left around the brain.",
    "outside-template": "The brain does not lie on the standard brain (MNI152), so the transform to it is wrong.",
    "unlike-training": "The image is unlike the training scans, and no simple cause explains it.",
    "other-contrast": "The image seems to be of another kind, e.g. a T2 where the model takes a FLAIR.",
    "inverted-contrast": "Bright and dark seem to be exchanged in the image.",
    "other-modality": "The image looks like another of the model's inputs, e.g. a FLAIR given as a T1.",
    "other-diffusion-map": "The image seems to be another diffusion map than the model's, e.g. MD where it takes FA.",
    "other-intensities": "Brightness inside the brain is spread in another way than in the training scans.",
    "clamp-region": "The image's intensities seem to be scaled in another way than the model's: by the whole image "
    "where it takes the brain alone, or the other way round.",
    "clamp-percentiles": "The darkest and brightest intensities were cut off at other limits than the model's.",
    "other-sampling": "The image was brought onto the grid by another interpolation than the model's images.",
    "coarse-voxels": "The image shows less detail than the model's images: its voxels are larger, or it was smoothed.",
    "noisy": "The image is noisier than the training scans.",
    "label-maps": "The image seems to be a map of labels, a number for each region, and not a scan.",
    "no-contrast": "The image shows no brain: it is empty, or has one value everywhere.",
    "out-of-range": "There are values that the model cannot take: no numbers, infinite, or too small or large.",
    "other-parcellation": "Connectivity is between other brain regions than the model's, or they are in another order.",
    "other-measure": "Connectivity is another measure than the model's, e.g. Fisher's z where it takes r, or partial "
    "correlation where it takes full.",
    "empty-regions": "More brain regions are without a signal than in the training scans.",
    "wrong-field": "The table has another field than the model's, e.g. age at recruitment and not age at the visit.",
    "other-unit": "The value seems to be in another unit, e.g. in months where the model takes years.",
    "wrong-code": "The value is none of the codes that the model knows.",
    "implausible-value": "No living person has such a value; most likely it is a mistake in the table.",
    "outside-age-range": "The person is younger or older than the people whom the model was trained on.",
    "outside-training-range": "The value is far from those of the people whom the model was trained on.",
}
"""Name to a sentence in plain words, about the input and never the person; in the order of the documentation."""


def deviation(name: str, where: str, *, expected: str, got: str, remedy: str) -> Deviation:
    """Return a mismatch of a known name.

    Raises
    ------
    KeyError
        There is no such name: our own mistake.
    """
    return Deviation(name=name, where=where, meaning=NAMES[name], expected=expected, got=got, remedy=remedy)
