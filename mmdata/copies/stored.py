"""Which augmented copies a study holds, by its receipts and what lies on the disk."""

from collections.abc import Sequence

from mmdata.ledger.receipts import CopyKey, read_copy_receipts, read_source_copies
from mmdata.store.schema import FIRST_AUGMENTED_COPY, VOLUME_DIMENSIONS
from mmdata.store.shards import rows_on_disk
from mmdata.study import Study


def believed_copies(study: Study) -> dict[CopyKey, frozenset[int]]:
    """Return the rows that receipts call stored for each (modality, side, copy), and whose shards are there."""
    return {
        (modality, side, copy): rows_on_disk(
            rows,
            study.layout.augmented_array(modality, side),
            study.config.volumes.rows_per_shard,
            len(VOLUME_DIMENSIONS) - 1,
            copy=copy - FIRST_AUGMENTED_COPY,
        )
        for (modality, side, copy), rows in read_copy_receipts(study.layout.receipts).items()
    }


def rows_with_every_copy(study: Study, modalities: Sequence[str], side: int, copies: int) -> frozenset[int] | None:
    """Return the rows of which all copies are stored, in all modalities; None where no copies are the source's.

    Of drawn copies none may be missing; what a source has not made nobody can.

    Parameters
    ----------
    copies
        How many there are to be of each.
    """
    from_source = read_source_copies(study.layout.receipts)
    if not copies or from_source.isdisjoint((modality, side) for modality in modalities):
        return None
    stored = read_copy_receipts(study.layout.receipts)
    keys = [
        (modality, side, copy)
        for modality in modalities
        for copy in range(FIRST_AUGMENTED_COPY, FIRST_AUGMENTED_COPY + copies)
    ]
    return frozenset.intersection(*(frozenset(stored.get(key, ())) for key in keys))


def damaged_source_copies(study: Study) -> dict[CopyKey, set[int]]:
    """Return the rows of the source's copies that were found damaged and are not read again yet."""
    from_source = read_source_copies(study.layout.receipts)
    damaged = read_copy_receipts(study.layout.receipts, "damaged")
    return {key: rows for key, rows in damaged.items() if rows and key[:2] in from_source}
