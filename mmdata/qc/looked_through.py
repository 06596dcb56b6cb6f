"""The most unusual volumes of all modalities, whole, to be looked through in the page."""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from mmdata.qc.review import ModalityReview
from mmdata.viewer.viewer import ShownMean, ShownVolume, Viewer, encode_picture, make_viewer

MAX_LOOKED_THROUGH = 12
"""Of all modalities: the page stays below 15 MB where the level that is read has 128 voxels an edge."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnusualVolume:
    """A volume that may be among the most unusual."""

    score: float
    volume: ShownVolume
    mean: ShownMean
    """Of its modality."""


def unusual_volumes(review: ModalityReview, title: str) -> list[UnusualVolume]:
    """Return the volumes that a review has kept.

    Parameters
    ----------
    title
        Of the modality.
    """
    kept = [shown for shown in review.shown if shown.picture]
    if not kept or review.mean is None or review.affine_44 is None:
        return []
    mean = ShownMean(picture=encode_picture(review.mean.mean, review.affine_44), num_averaged=len(review.mean.rows))
    return [
        UnusualVolume(
            score=shown.scan.score,
            volume=ShownVolume(
                title=f"{title}, {shown.sample_id}, z {shown.scan.score:.1f}",
                picture=shown.picture,
                modality=review.modality,
            ),
            mean=mean,
        )
        for shown in kept
    ]


def viewer_of(volumes: Iterable[UnusualVolume]) -> Viewer | None:
    """Return a viewer of the most unusual of some volumes, the most unusual first; None where there is none."""
    chosen = sorted(volumes, key=attrgetter("score"), reverse=True)[:MAX_LOOKED_THROUGH]
    if not chosen:
        return None
    means = {unusual.volume.modality: unusual.mean for unusual in chosen}
    return make_viewer([unusual.volume for unusual in chosen], means, choice="Scan", whose="This scan")
