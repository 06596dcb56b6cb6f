"""What a test of anything that reads a release needs to know, and no reader may look at: `truth.parquet`.

One row per visit, existing scan of a volume, and landmark:

``eid, instance, modality``            whose scan; modality is ``t1`` or another volume
``landmark``                           a name of `landmarks.LANDMARKS_MM`
``native_{x,y,z}_mm``                  its position in the scan's native world, RAS+ mm
``mni_{x,y,z}_mm``                     its position in MNI152 world, RAS+ mm
``mni_from_native``                    the affine between the two worlds, 16 numbers row by row: world MNI152 from world
                                       native, what the scan's FLIRT matrix stands for
``visible``                            whether the image shows the landmark (the phantom participant's do)
``age_years``                          exact age at the visit

The native position is the affine's, so that a landmark lies at the MNI position in a linearly normalised image. The
anatomy under it differs between participants, because brains are deformed nonlinearly on top.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from mmdata.synth.landmarks import LANDMARKS_MM
from mmdata.synth.participant import age_at, draw_participant
from mmdata.synth.plan import VOLUME_FIELDS
from mmdata.synth.visit import VisitResult
from mmdata.volume.geometry import apply_affine


def write_truth(path: Path, seed: int, results: Iterable[VisitResult]) -> None:
    """Write the truth of a release's visits, in their given order."""
    rows = [row for result in results for row in _visit_rows(seed, result)]
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)


def _visit_rows(seed: int, result: VisitResult) -> list[dict[str, object]]:
    participant = draw_participant(seed, result.visit.index)
    mni_N3 = np.array(list(LANDMARKS_MM.values()))
    rows: list[dict[str, object]] = []
    for modality, field in VOLUME_FIELDS.items():
        if field not in result.visit.fields:
            continue
        mni_from_native_44 = result.mni_from_native[modality]
        native_N3 = apply_affine(np.asarray(np.linalg.inv(mni_from_native_44), dtype=np.float64), mni_N3)
        for landmark, native_3, mni_3 in zip(LANDMARKS_MM, native_N3.tolist(), mni_N3.tolist(), strict=True):
            rows.append(
                {"eid": participant.eid, "instance": result.visit.instance, "modality": modality, "landmark": landmark}
                | dict(zip(("native_x_mm", "native_y_mm", "native_z_mm"), native_3, strict=True))
                | dict(zip(("mni_x_mm", "mni_y_mm", "mni_z_mm"), mni_3, strict=True))
                | {"mni_from_native": mni_from_native_44.ravel().tolist(), "visible": result.visit.is_phantom}
                | {"age_years": age_at(seed, participant, result.visit.instance)}
            )
    return rows
