"""The stores of a study as a model reads them that is trained already: always the study's own.

A training may read copies elsewhere (`--stores`). They serve that training: they may be gone since, or older than the
study, or still hold participants who have withdrawn. The study's own arrays are what the ingest wrote and
`mm withdraw` erases from, so whatever is done with a finished model reads them. `mmtrain.finished` does the same.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

from mmbase.names import CONNECTIVITY
from mmdata.store.array import StoredArray, open_array
from mmdata.study import Study
from mmtrain.data.stream import Stores, open_stores

ArrayKey: TypeAlias = tuple[str, int]
"""A modality and the side of its rows; 0 of connectivity."""


def open_own_stores(study: Study, modalities: Sequence[str], *, side: int, connectivity: str) -> Stores:
    """Open the arrays of some modalities to stream from; no augmented copies.

    Parameters
    ----------
    side
        Of the volumes.
    connectivity
        Name of the study's connectivity.

    Raises
    ------
    StoreError
        One does not exist.
    """
    return open_stores(study.layout, modalities, side=side, connectivity=connectivity, copies=0)


def open_own_array(study: Study, key: ArrayKey, connectivity: str) -> StoredArray:
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
    return {key[0]: open_own_array(study, key, connectivity).attributes for key in keys}
