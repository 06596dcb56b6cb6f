"""One self-contained HTML page about an ingested study: it loads nothing, and equal studies give equal bytes.

The page names samples, never participants. It shows single scans, so it is as confidential as the study.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mmbase.counting import counting
from mmbase.doubts import DOUBTS
from mmbase.files import write_bytes
from mmbase.names import MODALITIES
from mmbase.sealed_page import page_policy
from mmbase.version import VERSION
from mmdata.qc.looked_through import MAX_LOOKED_THROUGH, unusual_volumes, viewer_of
from mmdata.qc.reasons import explain_reason
from mmdata.qc.review import ModalityReview, ReviewLimits, num_reads, review_modality
from mmdata.qc.section import describe_review, modality_title
from mmdata.study import Study, StudyConfig
from mmdata.viewer.viewer import Viewer, read_part
from mmdata.volume.settings import VolumeSettings

STATUSES = ("stored", "rejected", "absent")
MAX_EXAMPLES = 3
"""Details that a reason is illustrated with."""
MAX_DETAIL_CHARACTERS = 240


@dataclass(frozen=True, kw_only=True, slots=True)
class QcSummary:
    """What the page says, in numbers."""

    samples: int
    stored: dict[str, int]
    """Of each modality, scans that are stored."""
    unusual: dict[str, int]
    """Of each modality with stored scans, how many of them are unlike the others."""
    unreadable: dict[str, int]
    """Of each modality with stored scans, how many of them could not be read."""
    page_bytes: int


def write_page(
    path: Path,
    scans: pl.DataFrame,
    study: Study,
    *,
    max_unusual: int = 24,
    max_volumes: int = 1000,
    max_listed: int = 100,
    on_progress: Callable[[int, int], None],
) -> QcSummary:
    """Write the page about a study's scans, whole or not at all.

    Parameters
    ----------
    scans
        One row for each sample and modality: sample_id, row, modality, status (``stored``, ``rejected`` or
        ``absent``), reason, detail, and a column for each of `mmbase.records.MEASURES`, null where it was not taken.
    max_unusual
        Most unusual scans to show of each modality.
    max_volumes
        Scans that a mean is over, at most, taken evenly over the rows.
    max_listed
        Rejected samples to list for each modality and reason.
    on_progress
        Called with the rows read so far and the rows to read.

    Raises
    ------
    StoreError
        A modality with stored scans has no array, or one of another version.
    """
    scans = scans.sort("row", "modality")
    limits = ReviewLimits(max_volumes=max_volumes, max_unusual=max_unusual, max_kept=MAX_LOOKED_THROUGH)
    sections, unusual, unreadable, volumes = [], {}, {}, []
    for review in _reviews(scans, study, limits, on_progress):
        volumes += unusual_volumes(review, modality_title(review.modality, study.config))
        sections.append(describe_review(review, study.config) | {"doubts": _doubts(scans, review.modality)})
        unusual[review.modality], unreadable[review.modality] = review.num_unusual, review.num_unreadable
    counts = _counts(scans, study.config)
    num_samples = scans["sample_id"].n_unique()
    page = _render(
        version=VERSION,
        grid=_grid(study.config.volumes),
        space=study.config.volumes.space,
        num_samples=num_samples,
        statuses=STATUSES,
        counts=counts,
        sections=sections,
        rejections=_rejections(scans, max_listed, study.config),
        other_copies=_other_copies(scans, study.config),
        viewer=viewer_of(volumes),
    )
    write_bytes(path, page)
    return QcSummary(
        samples=num_samples,
        stored={count["modality"]: count["stored"] for count in counts},
        unusual=unusual,
        unreadable=unreadable,
        page_bytes=len(page),
    )


def _reviews(
    scans: pl.DataFrame, study: Study, limits: ReviewLimits, on_progress: Callable[[int, int], None]
) -> Iterator[ModalityReview]:
    """Review the modalities that have stored scans, one after another."""
    stored = {modality: scans.filter(modality=modality, status="stored") for modality in _modalities(scans)}
    on_read = counting(sum(num_reads(frame.height, limits) for frame in stored.values()), on_progress)
    for modality, frame in stored.items():
        if frame.height:
            yield review_modality(frame, modality, study, limits, on_read)


def _modalities(scans: pl.DataFrame) -> list[str]:
    present = set(scans["modality"].unique())
    return [modality for modality in MODALITIES if modality in present]


def _grid(settings: VolumeSettings) -> str:
    sides = " and ".join(f"{side}³ voxels of {settings.extent_mm / side:.3g} mm" for side in settings.sides)
    return f"Volumes of {sides}, in {settings.space} space."


def _counts(scans: pl.DataFrame, config: StudyConfig) -> list[dict[str, Any]]:
    grouped = scans.group_by("modality", "status").len()
    by_status = {(modality, status): number for modality, status, number in grouped.iter_rows()}
    return [
        {
            "modality": modality,
            "title": modality_title(modality, config),
            **{status: by_status.get((modality, status), 0) for status in STATUSES},
        }
        for modality in _modalities(scans)
    ]


def _rejections(scans: pl.DataFrame, max_listed: int, config: StudyConfig) -> list[dict[str, Any]]:
    """Return what is said of each modality and reason, the most frequent reason of a modality first."""
    rejected = scans.filter(status="rejected")
    counts = rejected.group_by("modality", "reason").len().iter_rows()
    order = list(MODALITIES)
    ordered = sorted(counts, key=lambda count: (order.index(count[0]), -count[2], count[1]))
    return [
        {
            "modality": modality,
            "title": modality_title(modality, config),
            "reason": reason,
            "number": number,
            "explanation": explain_reason(reason),
            "examples": _most_frequent(rejected.filter(modality=modality, reason=reason)["detail"]),
            "sample_ids": rejected.filter(modality=modality, reason=reason)["sample_id"].head(max_listed).to_list(),
            "num_more": max(0, number - max_listed),
        }
        for modality, reason, number in ordered
    ]


def _doubts(scans: pl.DataFrame, modality: str) -> list[dict[str, Any]]:
    """Return which scans of a modality look like something else."""
    stored = scans.filter(modality=modality, status="stored")
    found = []
    for doubt in DOUBTS:
        doubted = stored.filter(~pl.col(doubt.measure).is_between(doubt.lowest, doubt.highest))
        if modality in doubt.modalities and doubted.height:
            examples = doubted["sample_id"].head(MAX_EXAMPLES).to_list()
            found.append({"number": doubted.height, "suspicion": doubt.suspicion, "examples": examples})
    return found


def _other_copies(scans: pl.DataFrame, config: StudyConfig) -> list[dict[str, Any]]:
    """Return what is said of each modality's scans that are stored from another copy than their first."""
    stored = scans.filter(pl.col("status") == "stored", pl.col("detail") != "")
    return [
        {"title": modality_title(modality, config), "number": frame.height, "examples": _most_frequent(frame["detail"])}
        for modality in _modalities(stored)
        if (frame := stored.filter(modality=modality)).height
    ]


def _most_frequent(details: pl.Series) -> list[str]:
    given = details.filter(details != "").str.slice(0, MAX_DETAIL_CHARACTERS)
    return given.value_counts().sort("count", "detail", descending=[True, False])["detail"].head(MAX_EXAMPLES).to_list()


def _render(*, viewer: Viewer | None, **content: Any) -> bytes:
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8") + (
        read_part("viewer.css") if viewer else ""
    )
    scripts = viewer.scripts if viewer else ()
    environment = Environment(
        loader=PackageLoader("mmdata.qc", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.j2").render(
        content,
        viewer=viewer,
        scripts=list(map(Markup, scripts)),
        style=Markup(style),
        policy=page_policy(scripts, style),
    )
    return page.encode()
