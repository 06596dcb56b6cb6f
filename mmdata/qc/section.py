"""What the page says of one modality: text, numbers and pictures, ready for the template."""

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmbase.names import CONNECTIVITY, MODALITIES
from mmbase.records import MEASURES
from mmdata.qc.pictures import Shading, draw_histogram, draw_matrix, draw_planes, draw_thumbnail, histogram_range
from mmdata.qc.planes import VIEWS, centre_position_mm
from mmdata.qc.review import ModalityReview, ShownScan, planes_of
from mmdata.qc.unusual import MEAN_CORRELATION, MIN_SCANS_TO_RANK, UNUSUAL_Z
from mmdata.study import StudyConfig
from mmdata.volume.connectome import CONNECTOMES

DESCRIPTIONS = {**MEASURES, MEAN_CORRELATION: "correlation with the cohort mean"}
_SCAN_SHADING = Shading(colormap="gray", low=0.0, high=1.0, label="")


def modality_title(modality: str, config: StudyConfig) -> str:
    """Return the name of a modality as people write it.

    >>> modality_title("dwi", StudyConfig())
    'Diffusion (FA)'
    """
    title = MODALITIES[modality].title
    title = title[:1].upper() + title[1:]
    return f"{title} ({chosen})" if (chosen := config.volumes.map_of(modality)) else title


def describe_review(review: ModalityReview, config: StudyConfig) -> dict[str, Any]:
    """Return what the template shows of a modality."""
    shading = _shown_shading(review)
    measures = [_describe_measure(review, name) for name in review.measures]
    connectome = CONNECTOMES[config.connectivity.name]
    return {
        "id": review.modality,
        "title": modality_title(review.modality, config),
        "subtitle": connectome.description if review.modality == CONNECTIVITY else "",
        "is_volume": review.affine_44 is not None,
        "num_stored": review.num_stored,
        "num_unreadable": review.num_unreadable,
        "num_averaged": len(review.mean.rows) if review.mean else 0,
        "means": list(_describe_means(review)),
        "measures": [measure for measure in measures if measure["picture"]],
        "constants": [measure for measure in measures if not measure["picture"]],
        "is_ranked": review.num_stored >= MIN_SCANS_TO_RANK,
        "min_to_rank": MIN_SCANS_TO_RANK,
        "unusual_z": UNUSUAL_Z,
        "num_unusual": review.num_unusual,
        "scans": [_describe_scan(rank, shown, review, shading) for rank, shown in enumerate(review.shown, 1)],
    }


def format_number(value: float) -> str:
    """Write a number with about three digits that matter.

    >>> [format_number(value) for value in (1625.73, 0.29539, -12.0, 0.0, 0.00123)]
    ['1,626', '0.295', '−12', '0', '0.001']
    """
    digits = 3 if abs(value) >= 0.01 else 1
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
    return text.replace("-", "−")


def mean_shading(values: NDArray[np.float64], unit: str, *, is_volume: bool) -> Shading:
    """Return how a mean is drawn: volumes from 0 in grey, edges from blue to red about 0."""
    high = _high_end(values)
    if is_volume:
        return Shading(colormap="gray", low=0.0, high=high, label=unit)
    return Shading(colormap="RdBu_r", low=-high, high=high, label=unit)


def _describe_means(review: ModalityReview) -> Iterator[dict[str, str]]:
    if review.mean is None:
        return
    number = len(review.mean.rows)
    for what, values in (("Mean", review.mean.mean), ("Standard deviation", review.mean.deviation)):
        shading = _shading_of(what, values, review)
        if review.affine_44 is None:
            picture = draw_matrix(planes_of(values)[0], shading)
            alt = f"{what} of the connectivity matrices of {number:,} scans."
        else:
            position_mm = centre_position_mm(review.affine_44, values.shape)
            picture = draw_planes(planes_of(values), position_mm, shading)
            positions = ", ".join(
                f"{view.name} at {'xyz'[view.normal]} = {position_mm[view.normal]:g} mm" for view in VIEWS
            )
            alt = f"{what} of {number:,} {review.modality} scans in three planes: {positions}."
        yield {"title": what, "picture": _data_uri(picture), "alt": alt}


def _shading_of(what: str, values: NDArray[np.float64], review: ModalityReview) -> Shading:
    if what == "Mean":
        return mean_shading(values, review.unit, is_volume=review.affine_44 is not None)
    return Shading(colormap="inferno", low=0.0, high=_high_end(values), label="standard deviation")


def _high_end(values: NDArray[np.float64]) -> float:
    return float(np.percentile(np.abs(values), 99.8)) or 1.0


def _shown_shading(review: ModalityReview) -> Shading:
    """Return one scale for all scans of the sheet, so that they can be compared."""
    if review.affine_44 is not None or review.mean is None:
        return _SCAN_SHADING
    return mean_shading(review.mean.mean, review.unit, is_volume=False)


def _describe_measure(review: ModalityReview, name: str) -> dict[str, Any]:
    values = review.measures[name]
    taken = values[np.isfinite(values)]
    title, _, note = DESCRIPTIONS[name].partition(", ")
    lowest, median, highest = (format_number(value) for value in (taken.min(), np.median(taken), taken.max()))
    described = {"title": title, "note": note, "number": len(taken), "median": median, "picture": "", "num_beyond": 0}
    if taken.min() == taken.max():
        return described
    leading = [shown.scan.position for shown in review.shown if _stands_out(shown, name)]
    unusual = [shown.scan.position for shown in review.shown if shown.scan.score > UNUSUAL_Z]
    low, high = histogram_range(taken)
    picture = draw_histogram(taken, _finite(values[unusual]), _finite(values[leading]))
    return {
        **described,
        "range": f"{lowest} to {highest}",
        "num_beyond": int(((taken < low) | (taken > high)).sum()),
        "picture": _data_uri(picture),
        "alt": f"Histogram of {title} of {len(taken):,} {review.modality} scans: median {median}, "
        f"from {lowest} to {highest}.",
    }


def _describe_scan(rank: int, shown: ShownScan, review: ModalityReview, shading: Shading) -> dict[str, Any]:
    kind = "Axial, coronal and sagittal plane" if review.affine_44 is not None else "Connectivity matrix"
    return {
        "rank": rank,
        "sample_id": shown.sample_id,
        "is_unusual": shown.scan.score > UNUSUAL_Z,
        "picture": _data_uri(draw_thumbnail(shown.planes, shading)) if shown.planes else "",
        "alt": f"{kind} of the {review.modality} scan of sample {shown.sample_id}.",
        "reasons": [
            {
                "what": "unlike the cohort mean, r"
                if name == MEAN_CORRELATION
                else DESCRIPTIONS[name].partition(", ")[0],
                "value": format_number(float(review.measures[name][shown.scan.position])),
                "z": f"{z:+.1f}".replace("-", "−"),
            }
            for name, z in shown.scan.reasons
        ],
    }


def _stands_out(shown: ShownScan, name: str) -> bool:
    return any(reason == name and abs(z) > UNUSUAL_Z for reason, z in shown.scan.reasons)


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]


def _data_uri(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"
