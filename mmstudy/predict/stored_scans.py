"""Hold stored scans against models that were trained elsewhere; a run of the study was trained on these very arrays."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from mmdata.qc.mean import read_batches
from mmdata.study import Study
from mmstudy.own_stores import open_own_array
from mmstudy.predict.checking import Expectation, check_row
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.model_set import arrays_of
from mmstudy.predict.study_samples import StoredSamples


def check_stored_scans(
    study: Study, samples: StoredSamples, connectivity: str, expectations: Sequence[Expectation]
) -> Mapping[int, list[Deviation]]:
    """Return, by the sample's position, in what its scans differ from what bundles take for granted.

    A row that cannot be read is passed over here: whoever predicts from it meets the damage.

    Parameters
    ----------
    connectivity
        Name of the study's connectivity.

    Raises
    ------
    StoreError
        An array does not exist.
    """
    found: dict[int, list[Deviation]] = defaultdict(list)
    for one in expectations:
        if one.model.is_run:
            continue
        for key in arrays_of(one.model.card):
            modality = key[0]
            position_of = {
                entry.sample.row: position for position, entry in enumerate(samples.entries) if modality in entry.stored
            }
            rows = sorted(row for row in position_of if row is not None)
            for read, values in read_batches(open_own_array(study, key, connectivity), rows, lambda _: None):
                for row, value in zip(read, values, strict=True):
                    found[position_of[row]] += check_row(value, modality, one)
    return found
