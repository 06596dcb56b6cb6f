"""The descriptions (`zarr.json`) of arrays that hold shards: which are lost, and making them again from the settings.

An array whose folder is gone altogether has lost its rows, not its description: that is for `mmdata.ledger.verify`.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from mmdata.ledger.receipts import read_copy_receipts, read_samples, read_scan_receipts, read_source_copies
from mmdata.ledger.tombstones import read_retired_rows
from mmdata.store.description import DESCRIPTION
from mmdata.store.spec import ArraySpec, ensure_array, is_described, lost_descriptions
from mmdata.study import Study
from mmdata.study_arrays import array_specs, augmented_spec, stored_modalities


def restore_descriptions(study: Study) -> None:
    """Make every lost description again, and let groups of earlier versions say what those of this one say.

    The caller holds the stores.

    Raises
    ------
    StoreError
        A receipt is damaged, or such an array was made with other settings.
    """
    if all(map(is_described, _arrays_with_shards(study, {}, {}, frozenset(), 1))):
        return
    rows = {sample.row for sample in read_samples(study.layout.receipts).values()}
    num_rows = 1 + max(rows | read_retired_rows(study.layout.receipts), default=0)
    for spec in recorded_arrays(study, num_rows=num_rows):
        if not is_described(spec):
            ensure_array(spec)


def undescribed_arrays(study: Study) -> frozenset[Path]:
    """Return the folders of arrays whose rows cannot be read before their description is made again."""
    arrays = recorded_arrays(study)
    return frozenset(spec.path for spec in arrays if spec.path / DESCRIPTION in lost_descriptions(spec))


def recorded_arrays(study: Study, *, num_rows: int = 1) -> list[ArraySpec]:
    """Return what every array that holds shards is to be, large enough for all that receipts call stored.

    Parameters
    ----------
    num_rows
        Least number of rows.
    """
    rows: dict[str, int] = {}
    for scan in read_scan_receipts(study.layout.receipts).values():
        rows[scan.modality] = max(rows.get(scan.modality, 1), scan.row + 1)
    copies: dict[tuple[str, int], tuple[int, int]] = {}
    for (modality, side, copy), stored in read_copy_receipts(study.layout.receipts).items():
        last_copy, length = copies.get((modality, side), (1, 1))
        copies[modality, side] = max(last_copy, copy), max(length, 1 + max(stored, default=0))
    return _arrays_with_shards(study, rows, copies, read_source_copies(study.layout.receipts), num_rows)


def _arrays_with_shards(
    study: Study,
    rows: Mapping[str, int],
    copies: Mapping[tuple[str, int], tuple[int, int]],
    from_source: Collection[tuple[str, int]],
    num_rows: int,
) -> list[ArraySpec]:
    """Return the arrays that hold shards.

    Parameters
    ----------
    rows
        Least number of rows for each modality.
    copies
        Least number of copies, and of rows in them, for each modality and side.
    from_source
        The modality and side of copies that were read from the source.
    num_rows
        Least number of rows of all.
    """
    volumes = study.config.volumes
    specs = []
    for modality in stored_modalities(study.config):
        specs += array_specs(study, modality, max(num_rows, rows.get(modality, 1)))
    for modality in volumes.modalities:
        for side in volumes.sides:
            num_copies, length = copies.get((modality, side), (1, 1))
            is_read = (modality, side) in from_source
            length = max(num_rows, length)
            specs.append(augmented_spec(study, modality, side, num_copies, length, from_source=is_read))
    return [spec for spec in specs if (spec.path / "c").exists()]
