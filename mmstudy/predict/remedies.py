"""What to do about a scan that the ingest's own code rejects, by the reason's name.

Reasons whose detail says it already are not here.
"""

_COPY_AGAIN = "Copy or download the file again."
_CONVERT_AGAIN = "Convert the image to NIfTI again."
_LOOK_AT_IMAGE = "Look at the image."

REMEDIES = {
    "truncated": _COPY_AGAIN,
    "corrupt": _COPY_AGAIN,
    "bad-archive": _COPY_AGAIN,
    "not-gzip": "Check which file it is; give an image as .nii or .nii.gz.",
    "not-nifti": "Check which file it is; give an image as .nii or .nii.gz, header and voxels in one file.",
    "bad-dimensions": "Check which file it is; give one volume of one scan.",
    "bad-datatype": _CONVERT_AGAIN,
    "bad-affine": f"{_CONVERT_AGAIN} An affine that is made up would put the brain in a wrong place.",
    "non-finite": "Look for the step that made them, and repeat it.",
    "empty": _LOOK_AT_IMAGE,
    "no-contrast": f"{_LOOK_AT_IMAGE} A mask or a map of labels is no scan.",
    "negative-intensities": _LOOK_AT_IMAGE,
    "implausible-brain": "Check the brain mask and the header's voxel size.",
    "bad-mask": "Give the mask that belongs to this image.",
    "bad-transform": "Check which file it is; give the affine transform to MNI152.",
    "outside-grid": "Check the transform to MNI152.",
    "registration-failed": "Look at the image; give a transform that was checked by eye.",
    "extractor-failed": "Run the brain extractor by itself on this image.",
    "crashed-worker": "Run it again with fewer --workers; if it fails again, look at the image.",
}
"""Reason to sentences."""
