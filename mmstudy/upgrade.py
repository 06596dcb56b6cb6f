"""Give what earlier versions of mm wrote the checksums that this one keeps."""

from mmbase.checksums import record_missing
from mmdata.ledger.receipts import add_checksums
from mmdata.store.schema import StudyLayout
from mmstudy.runs.folders import study_runs


def keep_checksums(layout: StudyLayout) -> None:
    """Put a checksum on record for every receipt and file of a run that has none. The caller holds the stores.

    Raises
    ------
    StoreError
        A receipt is damaged.
    """
    add_checksums(layout.receipts)
    for run in study_runs(layout).reachable:
        files = (run.cohort, run.model, run.model_card, run.metrics, run.predictions)
        record_missing(run.path, [file.name for file in files])
