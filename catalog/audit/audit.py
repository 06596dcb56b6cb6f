"""Audit a catalogue: every check over one scope, worst findings first."""

from collections.abc import Callable, Collection, Iterator, Sequence

import duckdb
import polars as pl

from catalog.audit.ages import find_wrong_ages
from catalog.audit.columns import find_constant, find_constant_in_training, find_impossible, find_missing
from catalog.audit.confounds import find_confounded_centre, find_motion
from catalog.audit.copied import find_copied_participants
from catalog.audit.coverage import find_mismatched_tables
from catalog.audit.findings import Finding, sort_findings
from catalog.audit.giveaways import find_giveaways
from catalog.audit.imbalance import find_imbalance
from catalog.audit.leakage import find_duplicates, find_similar_scans, find_withdrawn
from catalog.audit.mistaken import find_mistaken_scans
from catalog.audit.scope import Scope, open_scope
from catalog.audit.splits import find_divided_participants, find_divided_relatives, find_shifts, find_small_splits
from catalog.audit.visits import find_date_gaps, find_other_visits
from catalog.fields import Dictionary, find_target

CHECKS: tuple[Callable[[Scope], Iterator[Finding]], ...] = (
    find_divided_participants,
    find_divided_relatives,
    find_duplicates,
    find_similar_scans,
    find_copied_participants,
    find_mistaken_scans,
    find_wrong_ages,
    find_other_visits,
    find_date_gaps,
    find_giveaways,
    find_impossible,
    find_constant,
    find_constant_in_training,
    find_missing,
    find_imbalance,
    find_confounded_centre,
    find_motion,
    find_shifts,
    find_small_splits,
    find_mismatched_tables,
)


def audit_catalog(
    connection: duckdb.DuckDBPyConnection,
    dictionary: Dictionary,
    *,
    target: str | None = None,
    shown: Sequence[str] = (),
    modalities: Sequence[str] = (),
    cohort: pl.DataFrame | None = None,
    pending_withdrawals: Collection[str] = (),
) -> list[Finding]:
    """Return everything that may be wrong with labels, splits and inputs, worst first.

    Parameters
    ----------
    target
        Audit a run that predicts it: only what matters for that run is told. None: audit the whole study.
    shown
        Features that the model is shown beside the images.
    modalities
        Modalities that every sample of the run has.
    cohort
        The run's samples and their splits in this run (columns sample_id, split); None: every sample with the
        modalities, in the split of the study.
    pending_withdrawals
        Keys of participants who withdrew and whose removal is not known to be finished.

    Raises
    ------
    UnknownTargetError
        The dictionary has no such target.
    """
    if target is not None:
        find_target(dictionary, target)
    with open_scope(connection, dictionary, target=target, shown=shown, modalities=modalities, cohort=cohort) as scope:
        findings = [finding for check in CHECKS for finding in check(scope)]
        findings += find_withdrawn(scope, pending_withdrawals)
    return sort_findings(findings)
