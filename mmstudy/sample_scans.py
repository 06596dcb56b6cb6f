"""The stored volumes of one sample: which there are, and where they lie."""

from collections.abc import Sequence

import polars as pl

from catalog.database import open_catalog
from catalog.scans import scan_frame
from mmbase.names import VOLUME_MODALITIES
from mmdata.errors import StudyError
from mmdata.study import Study


def read_volume_scans(study: Study) -> pl.DataFrame:
    """Return every scan of a volume modality, stored or not, with the columns of `catalog.scans.scan_frame`.

    Raises
    ------
    CatalogError
        The catalogue cannot be read.
    """
    with open_catalog(study.layout.catalog) as catalog:
        return scan_frame(catalog).filter(pl.col("modality").is_in(VOLUME_MODALITIES))


def volumes_of(scans: pl.DataFrame, sample_id: str, modalities: Sequence[str] = ()) -> pl.DataFrame:
    """Return the stored scans of one sample, at least one, in the order of `VOLUME_MODALITIES`.

    Parameters
    ----------
    modalities
        Those that are asked for, each of which must be stored; empty: whichever are.

    Raises
    ------
    StudyError
        There is no such sample, it has no volume, or one that is asked for is not stored.
    """
    of_sample = scans.filter(sample_id=sample_id)
    if of_sample.is_empty():
        raise StudyError("The study has no sample of this id.", "mm query 'FROM samples' shows the ids of all samples.")
    stored = of_sample.filter(status="stored")
    wanted = modalities or stored["modality"].to_list()
    if lacking := [name for name in wanted if name not in stored["modality"]]:
        raise StudyError(
            f"This sample has no {', '.join(lacking)} stored as a volume.",
            "mm query 'FROM scans' says which scans are, and why others are not.",
        )
    if not wanted:
        raise StudyError("This sample has no volume stored.", "mm query 'FROM scans' says why each is not.")
    order = [name for name in VOLUME_MODALITIES if name in wanted]
    return stored.filter(pl.col("modality").is_in(order)).sort(pl.col("modality").cast(pl.Enum(VOLUME_MODALITIES)))
