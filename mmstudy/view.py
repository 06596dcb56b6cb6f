"""Write the page of `mm view`: the volumes of one sample beside the mean of the others."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmbase.counting import counting
from mmbase.files import make_directory, write_bytes
from mmbase.names import MODALITIES
from mmdata.qc.mean import average_rows, read_batches, spread_evenly
from mmdata.qc.mean_picture import MOST_SAMPLES
from mmdata.qc.review import array_path, decoded
from mmdata.qc.section import modality_title
from mmdata.store.array import StoredArray, open_array
from mmdata.study import Study
from mmdata.study_arrays import require_sides
from mmdata.viewer.page import ViewedSample, viewer_page
from mmdata.viewer.viewer import ShownMean, ShownVolume, encode_picture
from mmstudy.outputs import keep_if_present
from mmstudy.progress import Progress
from mmstudy.sample_scans import read_volume_scans, volumes_of


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A page that was written."""

    path: Path
    modalities: tuple[str, ...]
    """Shown, in the order of the page."""
    page_bytes: int


def write_view(study: Study, sample_id: str, progress: Progress, *, side: int | None = None) -> View:
    """Write the page of one sample into the study's folder `views`; its owner alone can read it.

    Parameters
    ----------
    side
        Resolution level; left out: the finest.

    Raises
    ------
    CatalogError, DataError
        There is no such sample, it has no volume or not this level, a store cannot be read, or somebody who is shown
        has withdrawn meanwhile.
    """
    settings = study.config.volumes
    side = settings.sides[0] if side is None else side
    require_sides(study.config, [side])
    scans = read_volume_scans(study)
    shown = volumes_of(scans, sample_id)
    others = scans.filter(pl.col("sample_id") != sample_id, status="stored")
    rows = {modality: _spread(others, modality) for modality in shown["modality"]}
    with progress("volumes") as on_progress:
        count = counting(sum(map(len, rows.values())), on_progress)
        means = {modality: _mean(study, modality, rows[modality], count) for modality in rows}
    sample = ViewedSample(
        sample_id=sample_id,
        grid=f"Volumes of {side}³ voxels of {settings.extent_mm / side:.3g} mm, in {settings.space} space.",
        volumes=[_volume(study, modality, side, row) for modality, row in shown.select("modality", "row").iter_rows()],
        means={modality: mean for modality, mean in means.items() if mean},
        lacking=_sentences(scans.filter(pl.col("sample_id") == sample_id, pl.col("status") != "stored")),
    )
    page, path = viewer_page(sample), study.layout.views / f"{sample_id}.html"
    make_directory(path.parent)
    write_bytes(path, page)
    keep_if_present(study.layout, path, {*shown["row"], *(row for averaged in rows.values() for row in averaged)})
    return View(path=path, modalities=tuple(shown["modality"]), page_bytes=len(page))


def _spread(others: pl.DataFrame, modality: str) -> list[int]:
    return spread_evenly(others.filter(modality=modality)["row"].to_list(), MOST_SAMPLES)


def _volume(study: Study, modality: str, side: int, row: int) -> ShownVolume:
    array = open_array(study.layout.volume_array(modality, side))
    picture = _picture(array.read_rows([(row,)])[0], array)
    return ShownVolume(title=modality_title(modality, study.config), picture=picture, modality=modality)


def _mean(study: Study, modality: str, rows: list[int], on_read: Callable[[int], None]) -> ShownMean | None:
    """Return the mean of some rows at the level that `mm qc` reads; None where none can be read."""
    array = open_array(array_path(study, modality))
    mean = average_rows(read_batches(array, rows, on_read))
    return None if mean is None else ShownMean(picture=_picture(mean.mean, array), num_averaged=len(mean.rows))


def _picture(stored_XYZ: NDArray[Any], array: StoredArray) -> bytes:
    return encode_picture(decoded(stored_XYZ, array), np.asarray(array.attributes["affine_ras"]))


def _sentences(scans: pl.DataFrame) -> list[str]:
    """Return what is said of scans that are not stored."""
    return [
        f"No {MODALITIES[modality].title}: {status}{f' ({reason})' if reason else ''}."
        for modality, status, reason in scans.select("modality", "status", "reason").iter_rows()
    ]
