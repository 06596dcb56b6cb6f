"""A made-up study for models: volumes, connectivity and a table that share hidden factors, in the store's own format.

Every number of a volume or of connectivity is a sum of a few factors, each with its own weight, and noise; so is every
feature, of which some are binary and each lacks some values. So projections, penalties and trees have as much to find
as they would in people, and labels of different targets are known of different samples.

Legend of shapes: N samples, L factors, D numbers of one sample.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.run_life import make_study
from catalog.audit.scope import BIRTH_YEAR, RECRUITMENT_AGE, SCAN_DATE
from catalog.fields import Dictionary
from catalog.statements import insert_frame
from mmbase.names import CONNECTIVITY
from mmdata.store.array import open_array
from mmdata.study import Study, StudyConfig
from mmdata.study_arrays import array_specs, stored_modalities
from mmdata.volume.settings import VolumeSettings

SIDE = 32
NUM_FACTORS = 40
UNKNOWN = 0.05
"""Share of values that each feature lacks."""
_COARSE = 8
"""Edge length in which factors lie in a volume."""


def make_full_study(root: Path, num_samples: int) -> Study:
    """Make a study with as many finished ingests as it needs to train models of every set of inputs."""
    study, factors_NL = make_labelled_study(root, num_samples), _factors(num_samples)
    for number, modality in enumerate(stored_modalities(study.config)):
        rng = np.random.default_rng(number)
        _fill(study, modality, factors_NL, _edges(rng) if modality == CONNECTIVITY else _volumes(rng), rng)
    return study


def make_labelled_study(root: Path, num_samples: int) -> Study:
    """Make a study whose catalogue and labels are whole, and whose arrays are empty."""
    config = StudyConfig(volumes=VolumeSettings(sides=(SIDE,)), train={"side": SIDE})
    store_features = partial(_store_features, _factors(num_samples))
    return make_study(root, num_samples, 0, config=config, store_features=store_features)


def _factors(num_samples: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(num_samples, NUM_FACTORS)).astype(np.float32)


_Rows = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.generic]]
"""Returns what is stored of some samples, given their factors."""


def _fill(study: Study, modality: str, factors_NL: NDArray[np.float32], rows: _Rows, rng: np.random.Generator) -> None:
    (spec,) = array_specs(study, modality, len(factors_NL))
    array = open_array(spec.path)
    for start in range(0, len(factors_NL), array.rows_per_shard):
        array.write_shard(start, rows(factors_NL[start : start + array.rows_per_shard], rng))


def _volumes(rng: np.random.Generator) -> _Rows:
    weights_LD = rng.normal(size=(NUM_FACTORS, *(_COARSE,) * 3)).astype(np.float32)
    for axis in (1, 2, 3):
        weights_LD = weights_LD.repeat(SIDE // _COARSE, axis)
    weights_LD = weights_LD.reshape(NUM_FACTORS, -1)

    def rows(factors: NDArray[np.float32], drawn: np.random.Generator) -> NDArray[np.generic]:
        noise = drawn.normal(size=(len(factors), weights_LD.shape[1])).astype(np.float32)
        fraction = 0.5 + 0.01 * (factors @ weights_LD) + 0.05 * noise
        return (np.clip(fraction, 0, 1) * 65535).astype(np.uint16).reshape(-1, *(SIDE,) * 3)

    return rows


def _edges(rng: np.random.Generator) -> _Rows:
    weights_LD = rng.normal(size=(NUM_FACTORS, 64_620)).astype(np.float32)

    def rows(factors: NDArray[np.float32], drawn: np.random.Generator) -> NDArray[np.generic]:
        noise = drawn.normal(size=(len(factors), weights_LD.shape[1])).astype(np.float32)
        return np.tanh(0.2 + 0.02 * (factors @ weights_LD) + 0.2 * noise)

    return rows


def _store_features(
    factors_NL: NDArray[np.float32], catalog: duckdb.DuckDBPyConnection, dictionary: Dictionary, num_samples: int
) -> None:
    """Give samples their values, but for those that each feature lacks, and what the audit compares ages with."""
    rng = np.random.default_rng(3)
    for name, definition in dictionary.items():
        if name in (BIRTH_YEAR, RECRUITMENT_AGE, SCAN_DATE):
            continue
        spread = 0.2 * factors_NL @ rng.normal(size=NUM_FACTORS) + rng.normal(size=num_samples)
        low, high = definition.plausible or (0.0, 120.0)
        values = np.clip(low + (high - low) * (0.5 + spread / 15), low, high)
        if definition.kind == "binary":
            values = (values > np.quantile(values, rng.uniform(0.5, 0.9))).astype(float)
        elif definition.kind != "continuous":
            values = np.floor(values)
        known = rng.random(num_samples) >= UNKNOWN
        frame = pl.DataFrame({"row": np.flatnonzero(known), "value": values[known]})
        insert_frame(
            catalog,
            f"INSERT INTO feature SELECT row, '{name}', value, {definition.fields[0]}, 2, 0 FROM incoming",
            frame,
        )
