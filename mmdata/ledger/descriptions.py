"""The descriptions (`zarr.json`) of arrays that hold rows: which are lost, and making them again from the settings.

An array whose folder is gone altogether has lost its rows, not its description: that is for `mmdata.ledger.verify`.
"""

from collections.abc import Iterator
from pathlib import Path

from mmdata.ledger.receipts import read_copy_receipts, read_retired_rows, read_samples, read_scan_receipts
from mmdata.store.description import DESCRIPTION
from mmdata.store.spec import ArraySpec, ensure_array, lost_descriptions
from mmdata.study import Study
from mmdata.study_arrays import array_specs, augmented_spec, stored_modalities


def restore_descriptions(study: Study) -> None:
    """Make every lost description again. The caller holds the stores.

    Raises
    ------
    StoreError
        A receipt is damaged, or such an array was made with other settings.
    """
    rows = {sample.row for sample in read_samples(study.layout.receipts).values()}
    num_rows = 1 + max(rows | read_retired_rows(study.layout.receipts), default=0)
    for spec in recorded_arrays(study, num_rows=num_rows):
        if lost_descriptions(spec):
            ensure_array(spec)


def undescribed_arrays(study: Study) -> frozenset[Path]:
    """Return the folders of arrays whose rows cannot be read before their description is made again."""
    return frozenset(spec.path for spec in recorded_arrays(study) if spec.path / DESCRIPTION in lost_descriptions(spec))


def recorded_arrays(study: Study, *, num_rows: int = 1) -> Iterator[ArraySpec]:
    """Yield what every array that holds rows is to be, as far as receipts tell.

    Parameters
    ----------
    num_rows
        Least number of rows; those that are stored count in any case.
    """
    rows_of: dict[str, set[int]] = {}
    for scan in read_scan_receipts(study.layout.receipts).values():
        if scan.checksums:
            rows_of.setdefault(scan.modality, set()).add(scan.row)
    for modality in stored_modalities(study.config):
        for spec in array_specs(study, modality, max(num_rows, 1 + max(rows_of.get(modality, ()), default=0))):
            if _has_shards(spec):
                yield spec
    sizes: dict[tuple[str, int], tuple[int, int]] = {}
    for (modality, side, copy), rows in read_copy_receipts(study.layout.receipts).items():
        copies, last = sizes.get((modality, side), (0, 0))
        sizes[modality, side] = max(copies, copy), max(last, *rows, 0)
    for (modality, side), (copies, last) in sorted(sizes.items()):
        spec = augmented_spec(study, modality, side, copies, max(num_rows, last + 1))
        if _has_shards(spec):
            yield spec


def _has_shards(spec: ArraySpec) -> bool:
    return (spec.path / "c").exists()
