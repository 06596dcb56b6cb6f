"""Plan a run on a study, and enter it when it has ended."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from polars import DataFrame

from catalog.cohorts import build_cohort
from catalog.database import open_catalog
from catalog.fields import find_target, metadata_features
from catalog.runs import index_runs
from mmdata.schema import VOLUME_MODALITIES
from mmdata.study import Study
from mmstudy.ingest import CATALOG_WAIT_SECONDS
from mmtrain.config import TrainConfig, parse_train_config
from mmtrain.errors import TrainError
from mmtrain.stream import open_stores
from mmtrain.task import choose_device


def plan_run(study: Study, target: str, given: Mapping[str, Any]) -> tuple[TrainConfig, DataFrame]:
    """Return the settings and the cohort of a new run, having made sure that the stores have what it reads.

    Parameters
    ----------
    given
        Settings that come before the study's own.

    Raises
    ------
    CatalogError, DataError, TrainError
        A setting is wrong, or the study has not what the run needs.
    """
    definition = find_target(target)
    config = parse_train_config(
        {
            **asdict(study.config.train),
            "inputs": [modality for modality in VOLUME_MODALITIES if modality in study.config.volumes.modalities],
            "connectivity": study.config.connectivity.name,
            **given,
            "target": target,
            "kind": "classification" if definition.kind == "binary" else "regression",
            "unit": definition.unit,
        }
    )
    if config.volume_inputs and config.side not in study.config.volumes.sides:
        raise TrainError(f"Side {config.side} is not stored; this study has {study.config.volumes.sides}.")
    choose_device(config.device)
    stores = open_stores(
        study.layout, config.modalities, side=config.side, connectivity=config.connectivity, copies=config.copies
    )
    config = replace(config, copies=stores.num_copies)
    features = metadata_features(target, config.metadata_blocks)
    with open_catalog(study.layout.catalog) as catalog:
        return config, build_cohort(catalog, target, config.modalities, features)


def enter_runs(study: Study) -> list[str]:
    """Enter every finished run into the catalogue; return those that cannot be read.

    Raises
    ------
    CatalogLockedError
        The catalogue is in use.
    """
    with open_catalog(study.layout.catalog, writable=True, wait_seconds=CATALOG_WAIT_SECONDS) as catalog:
        return index_runs(catalog, study.layout.runs)
