"""Small studies made of drawn brains, without an ingest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from mmbase.names import CONNECTIVITY
from mmbase.records import MEASURES
from mmdata.store.array import open_array
from mmdata.store.rows import missing_value
from mmdata.store.spec import ensure_array
from mmdata.study import Study, StudyConfig, create_study
from mmdata.study_arrays import array_specs
from mmdata.volume.preprocess import quantise
from mmdata.volume.settings import ConnectivitySettings, VolumeSettings

SIDE = 16
ROWS_PER_SHARD = 8
Spoil = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Cohort:
    """A study whose every sample has one stored T1 and one stored connectivity."""

    study: Study
    scans: pl.DataFrame

    def array_path(self, modality: str) -> Path:
        return array_specs(self.study, modality, 1)[0].path

    def stored(self, modality: str) -> NDArray[Any]:
        """Every row, as another program sees it."""
        import zarr  # noqa: PLC0415

        rows: NDArray[Any] = zarr.open_array(self.array_path(modality), mode="r")[:]
        return rows


def sample_id(row: int) -> str:
    return f"{row:04d}feedfeedfeed"


def draw_brain(rng: np.random.Generator) -> NDArray[np.float64]:
    """An ellipsoid with a bright core, off the grid's centre, with a little noise: 0 to 1."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, SIDE)] * 3, indexing="ij")
    radius = np.sqrt((x / 0.7) ** 2 + ((y - 0.1) / 0.8) ** 2 + ((z + 0.1) / 0.6) ** 2)
    brain = np.where(radius < 1, 0.9 - 0.5 * radius + rng.normal(0, 0.02, radius.shape), 0.0)
    return np.clip(brain * rng.normal(1, 0.02), 0, 1)


def scan_record(row: int, modality: str, **changes: Any) -> dict[str, Any]:
    record = {
        "sample_id": sample_id(row),
        "row": row,
        "modality": modality,
        "status": "stored",
        "reason": "",
        "detail": "",
    }
    return {**record, **dict.fromkeys(MEASURES), **changes}


def scan_frame(records: list[dict[str, Any]]) -> pl.DataFrame:
    texts = dict.fromkeys(("sample_id", "modality", "status", "reason", "detail"), pl.String)
    return pl.DataFrame(records, schema={**texts, "row": pl.Int64, **dict.fromkeys(MEASURES, pl.Float64)})


@pytest.fixture
def make_cohort(tmp_path: Path) -> Callable[..., Cohort]:
    """Make a study of so many samples, some of whose T1s are spoilt, by row."""

    def make(num_rows: int, spoilt: Mapping[int, Spoil] | None = None, name: str = "study") -> Cohort:
        config = StudyConfig(
            salt="salt-of-the-tests-of-qc",
            volumes=VolumeSettings(sides=(SIDE,), modalities=("t1",), rows_per_shard=ROWS_PER_SHARD),
            connectivity=ConnectivitySettings(name="tian16"),
            train={"side": SIDE},
        )
        study = create_study(tmp_path / name, config)
        rng = np.random.default_rng(5)
        brains, records = [], []
        common_edges = rng.uniform(-0.3, 0.7, 120)
        for row in range(num_rows):
            brain = draw_brain(rng)
            brains.append((spoilt or {}).get(row, lambda volume: volume)(brain))
            measures = {"brain_ml": float((brains[-1] > 0).sum()) + rng.normal(0, 5), "clamp_high": rng.normal(800, 50)}
            records.append(scan_record(row, "t1", **measures))
            records.append(scan_record(row, CONNECTIVITY, timepoints=490.0, empty_regions=0.0))
        edges = common_edges + rng.normal(0, 0.05, (num_rows, 120))
        _store(study, "t1", quantise(np.array(brains, np.float32), "uint16"))
        _store(study, CONNECTIVITY, edges.astype(np.float32))
        return Cohort(study, scan_frame(records))

    return make


def _store(study: Study, modality: str, rows: NDArray[Any]) -> None:
    (spec,) = array_specs(study, modality, len(rows))
    ensure_array(spec)
    array = open_array(spec.path)
    for start in range(0, len(rows), ROWS_PER_SHARD):
        array.write_shard(start, rows[start : start + ROWS_PER_SHARD])
    assert not (rows == missing_value(spec.dtype)).all(axis=tuple(range(1, rows.ndim))).any()
