"""Make sure that remote stores hold this study's samples; another study's would give its volumes our labels."""

from collections.abc import Sequence

from mmdata.errors import StoreError, StudyError
from mmdata.ledger.receipts import read_scan_receipts
from mmdata.store.rows import row_checksum
from mmdata.study import Study
from mmtrain.config.run import RunConfig
from mmtrain.task import open_run_stores

NUM_COMPARED = 8
"""Rows of each array at most; they are spread over the cohort."""
_ADVICE = "Copy the stores there again, or give --stores the folder of this study's copies."


def require_own_stores(study: Study, config: RunConfig, rows: Sequence[int]) -> None:
    """Compare some rows that a run would read with the checksums that the ingest wrote down.

    Parameters
    ----------
    rows
        Of the run's cohort, at least one.

    Raises
    ------
    StudyError
        A row is not the one of this study, is missing or damaged.
    """
    checksums = {
        (receipt.modality, receipt.row): receipt.checksums
        for receipt in read_scan_receipts(study.layout.receipts).values()
    }
    compared = rows[:: -(-len(rows) // NUM_COMPARED)]
    location = config.execution.stores
    for modality, array in open_run_stores(study.layout, config).originals.items():
        name = array.location.name
        try:
            values = array.read_rows([(row,) for row in compared])
        except StoreError as error:
            raise StudyError(f"{location} does not hold all of this study's samples. {error}", _ADVICE) from error
        for row, value in zip(compared, values, strict=True):
            if checksums.get((modality, row), {}).get(name) != row_checksum(value):
                raise StudyError(
                    f"{location} does not hold this study's samples: row {row} of {modality}/{name} is another.",
                    _ADVICE,
                )
