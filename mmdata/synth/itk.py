"""Affine transforms as ITK's text files.

ITK's world is LPS+: x and y run against RAS+. A file that is named ``from-T1w_to-MNI…_mode-image`` moves *images* from
T1w to MNI: for that, ITK looks up every point of the MNI grid in the T1w image, so the transform in the file maps
points of MNI to points of the native world, against the direction of its name.

Source: ITK's TxtTransformIO, and the ITK Software Guide on resampling (the transform maps output to input points).
"""

import numpy as np

from mmdata.volume.geometry import Matrix44

_LPS_FROM_RAS_44 = np.diag([-1.0, -1.0, 1.0, 1.0])


def itk_affine_text(mni_from_native_44: Matrix44) -> bytes:
    """Return the file by which ITK resamples a native image to MNI152.

    Parameters
    ----------
    mni_from_native_44
        The native world to MNI152's, RAS+ mm; the file holds its inverse, LPS+ mm.
    """
    native_from_mni_44 = _LPS_FROM_RAS_44 @ np.linalg.inv(mni_from_native_44) @ _LPS_FROM_RAS_44
    parameters = [*native_from_mni_44[:3, :3].ravel().tolist(), *native_from_mni_44[:3, 3].tolist()]
    lines = (
        "#Insight Transform File V1.0",
        "#Transform 0",
        "Transform: AffineTransform_double_3_3",
        "Parameters: " + " ".join(map(repr, parameters)),
        "FixedParameters: 0 0 0",
    )
    return "".join(f"{line}\n" for line in lines).encode()
