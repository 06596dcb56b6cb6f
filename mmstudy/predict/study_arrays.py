"""The study's arrays that models read."""

from collections.abc import Collection, Mapping
from typing import Any

from mmbase.names import CONNECTIVITY
from mmdata.store.array import StoredArray, open_array
from mmdata.study import Study
from mmstudy.predict.model_set import ArrayKey


def open_study_array(study: Study, key: ArrayKey, connectivity: str) -> StoredArray:
    """Open an array.

    Parameters
    ----------
    connectivity
        Name of the study's connectivity.

    Raises
    ------
    StoreError
        It does not exist.
    """
    modality, side = key
    layout = study.layout
    return open_array(
        layout.connectivity_array(connectivity) if modality == CONNECTIVITY else layout.volume_array(modality, side)
    )


def store_attributes(study: Study, keys: Collection[ArrayKey], connectivity: str) -> dict[str, Mapping[str, Any]]:
    """Return what the study's arrays say of themselves, by modality.

    Raises
    ------
    StoreError
        One does not exist.
    """
    return {key[0]: open_study_array(study, key, connectivity).attributes for key in keys}
