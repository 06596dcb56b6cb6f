"""Samples of the study, with what the catalogue says of their inputs."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from catalog.database import open_catalog
from catalog.features import feature_columns
from catalog.samples import participant_labels
from catalog.scans import scan_frame
from catalog.statements import fetch_frame
from mmbase.input_files import read_regular
from mmdata.errors import StudyError
from mmdata.study import Study
from mmstudy.predict.samples import Fault, Sample
from mmstudy.predict.scans import rejection_fault

_MAX_LIST_BYTES = 64 << 20
_SAMPLES_SQL = "SELECT sample_id, eid, instance, row, split FROM samples JOIN splits USING (sample_id) ORDER BY row"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredSample:
    """A sample of the study with what is known of its inputs."""

    sample: Sample
    stored: frozenset[str]
    """Modalities."""
    rejected: Mapping[str, Fault]


@dataclass(frozen=True, slots=True)
class StoredSamples:
    """Samples of the study, in the order of rows."""

    entries: tuple[StoredSample, ...]
    columns: Mapping[str, NDArray[np.float64]]
    """Feature to its values, one for each sample, NaN where missing."""

    def features_of(self, position: int) -> dict[str, float]:
        """Return the features of one sample."""
        return {name: float(column[position]) for name, column in self.columns.items()}


def read_sample_list(path: Path) -> frozenset[str]:
    """Return the sample ids of a list, one a line.

    Raises
    ------
    StudyError
        It cannot be read as text, or names nobody.
    """
    try:
        text = read_regular(path, _MAX_LIST_BYTES).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise StudyError(
            f"The sample list {path.name} cannot be read as text.", "Write one sample id a line."
        ) from error
    names = frozenset(filter(None, map(str.strip, text.splitlines())))
    if not names:
        raise StudyError(f"The sample list {path.name} is empty.", "Write one sample id a line.")
    return names


def list_samples(
    study: Study, split: str | None, listed: Collection[str] | None, features: Sequence[str]
) -> StoredSamples:
    """Return samples of the study.

    Parameters
    ----------
    split
        None: all.
    listed
        Sample ids; None: all.
    features
        Names to read, those that the models see among them.

    Raises
    ------
    CatalogError, StudyError
        The catalogue cannot be read, or a sample that is listed is not in the study.
    """
    with open_catalog(study.layout.catalog) as catalog:
        frame = fetch_frame(catalog, _SAMPLES_SQL, {})
        if listed is not None:
            _require_listed(listed, frame)
            frame = frame.filter(pl.col("sample_id").is_in(list(listed)))
        if split is not None:
            frame = frame.filter(pl.col("split") == split)
        columns = feature_columns(catalog, frame["row"], features)
        values = {name: column.to_numpy() for name, column in zip(features, columns, strict=True)}
        stored, rejected = _scans_of(scan_frame(catalog))
        labels = participant_labels(catalog)
    entries = tuple(
        StoredSample(
            sample=Sample(name=name, instance=instance, participant=labels.get(eid, str(eid)), row=row),
            stored=frozenset(stored[name]),
            rejected=rejected[name],
        )
        for name, eid, instance, row, _ in frame.iter_rows()
    )
    return StoredSamples(entries, values)


def _scans_of(scans: pl.DataFrame) -> tuple[defaultdict[str, set[str]], defaultdict[str, dict[str, Fault]]]:
    """Return the modalities that are stored, and why others are not, by sample id."""
    stored = defaultdict[str, set[str]](set)
    rejected = defaultdict[str, dict[str, Fault]](dict)
    for name, modality, status, reason, detail in scans.select(
        "sample_id", "modality", "status", "reason", "detail"
    ).iter_rows():
        if status == "stored":
            stored[name].add(modality)
        elif status == "rejected":
            rejected[name][modality] = rejection_fault(modality, reason, detail)
    return stored, rejected


def _require_listed(listed: Collection[str], frame: pl.DataFrame) -> None:
    known = set(frame["sample_id"])
    if unknown := set(listed) - known:
        raise StudyError(
            f"{len(unknown):,} of the {len(listed):,} sample ids listed are no samples of this study.",
            "They are of another study, or of participants who have withdrawn: take them out of the list.",
        )
