"""Named positions in MNI152 space, and the phantom participant who shows them.

By a scan's FLIRT matrix every landmark has a native position too; both are written to `truth.parquet`. In the images of
one participant, the phantom, each landmark is a small Gaussian cyst of CSF in a ball of pure white matter: dark in T1,
FLAIR and FA, bright in MD, and no more extreme than other CSF, so that clamping at percentiles spares it.
"""

import dataclasses

import numpy as np

from mmdata.synth.anatomy import Map, Tissue

LANDMARKS_MM: dict[str, tuple[float, float, float]] = {
    "left_frontal": (-30.0, 34.0, 16.0),
    "right_frontal": (24.0, 46.0, 2.0),
    "left_parietal": (-32.0, -44.0, 38.0),
    "right_parietal": (28.0, -58.0, 26.0),
    "left_temporal": (-42.0, -20.0, -14.0),
    "right_cerebellar": (22.0, -64.0, -36.0),
}
"""MNI152 mm; no flip or exchange of axes maps one onto another."""
CYST_SIGMA_MM = 3.0
BALL_RADIUS_MM = 12.0
"""Where the ball of white matter has faded to half."""
_BALL_EDGE_MM = 0.6
_CYST_CSF = 0.9


def with_cysts(tissue: Tissue) -> Tissue:
    """Return the tissue with every landmark's ball and cyst."""
    gm, wm, csf, near_ventricles = (a.copy() for a in (tissue.gm, tissue.wm, tissue.csf, tissue.near_ventricles))
    for landmark_mm in LANDMARKS_MM.values():
        squared_mm = ((tissue.mni_mm - np.asarray(landmark_mm, dtype=np.float32)) ** 2).sum(axis=-1)
        ball = _ball(squared_mm)
        cyst = ball * _CYST_CSF * np.exp(squared_mm * np.float32(-0.5 / CYST_SIGMA_MM**2))
        gm *= 1 - ball
        near_ventricles *= 1 - ball
        wm[:] = wm * (1 - ball) + ball - cyst
        csf[:] = csf * (1 - ball) + cyst
    return dataclasses.replace(tissue, gm=gm, wm=wm, csf=csf, near_ventricles=near_ventricles)


def _ball(squared_mm: Map) -> Map:
    outside = (np.sqrt(squared_mm) - BALL_RADIUS_MM) / np.float32(_BALL_EDGE_MM)
    ball: Map = 1 / (1 + np.exp(np.minimum(outside, 50.0)))
    return ball
