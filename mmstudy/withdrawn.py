"""Which participants have withdrawn, and what a study still holds of them."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from catalog.database import open_catalog
from catalog.removal import count_entries, participant_samples
from mmdata.ledger.erase import count_rows, plan_erasure
from mmdata.ledger.forget import Duplicates, count_receipts, find_duplicates, samples_on_record
from mmdata.ledger.tombstones import read_tombstones
from mmdata.store.schema import StudyLayout
from mmstudy.progress import Progress
from mmstudy.runs.folders import name_in_study, study_runs
from mmtrain.withdrawn import WithdrawnSamples, count_withdrawn


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawnParticipants:
    """Participants who withdraw, and whatever they are called by."""

    rows_of: Mapping[str, frozenset[int]] = field(repr=False)
    """Participant key to the rows of their samples; none where the study never had any."""
    sample_ids: frozenset[str] = field(repr=False)
    duplicates: Duplicates = field(repr=False)
    """Rows of others, by modality, that hold the very same scan."""

    @property
    def keys(self) -> frozenset[str]:
        """Of the participants."""
        return frozenset(self.rows_of)

    @property
    def rows(self) -> frozenset[int]:
        """Of all their samples."""
        return frozenset(row for rows in self.rows_of.values() for row in rows)

    @property
    def samples(self) -> WithdrawnSamples:
        """What a run knows them by."""
        others = frozenset(row for rows in self.duplicates.values() for row in rows)
        return WithdrawnSamples(rows=self.rows, sample_ids=self.sample_ids, duplicate_rows=others)


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """What a study holds of withdrawn participants."""

    places: dict[str, int]
    """Array, file or table to the rows, lines or entries to remove from it; only where there are any."""
    runs: list[str]
    """Runs whose cohort has some of them."""


def find_withdrawn(study: StudyLayout, keys: Collection[str]) -> WithdrawnParticipants:
    """Return what participants are called by, from all that may know it: tombstones, the catalogue, the receipts.

    Raises
    ------
    CatalogError, StoreError
        The catalogue or a receipt is damaged.
    """
    rows_of, sample_ids = find_samples(study, keys)
    return WithdrawnParticipants(
        rows_of=rows_of,
        sample_ids=sample_ids,
        duplicates=find_duplicates(study.receipts, frozenset().union(*rows_of.values())),
    )


def find_samples(study: StudyLayout, keys: Collection[str]) -> tuple[dict[str, frozenset[int]], frozenset[str]]:
    """Return the rows of some participants by key, and the ids of their samples; no receipt of a scan is read.

    Raises
    ------
    CatalogError, StoreError
        The catalogue or a receipt is damaged.
    """
    tombstones = read_tombstones(study.receipts)
    rows_of = {key: set(tombstones[key].rows) if key in tombstones else set() for key in keys}
    samples = []
    if study.catalog.exists():
        with open_catalog(study.catalog) as catalog:
            samples += participant_samples(catalog, keys)
    every_row = frozenset(row for rows in rows_of.values() for row in rows).union(row for _, _, row in samples)
    samples += samples_on_record(study.receipts, frozenset(keys), every_row)
    for key, _, row in samples:
        if key in rows_of:
            rows_of[key].add(row)
    return {key: frozenset(rows) for key, rows in rows_of.items()}, frozenset(name for _, name, _ in samples)


def survey(study: StudyLayout, withdrawn: WithdrawnParticipants, progress: Progress) -> Findings:
    """Count what the study holds of withdrawn participants, wherever it may be; nothing is written.

    Raises
    ------
    CatalogError, DataError, TrainError
        Something is damaged so that its content is not known.
    """
    places = Counter[str]()
    if study.catalog.exists():
        with open_catalog(study.catalog) as catalog:
            for table, number in count_entries(catalog, withdrawn.keys, withdrawn.rows).items():
                places[f"{study.catalog.name}/{table}"] += number
    places.update(_stored_rows(study, withdrawn, progress))
    for name, number in count_receipts(study.receipts, withdrawn.rows, withdrawn.duplicates).items():
        places[f"{study.receipts.name}/{name}"] += number
    runs = []
    for run in study_runs(study).reachable:
        found = count_withdrawn(run, withdrawn.samples)
        places.update({f"{name_in_study(study, run)}/{name}": number for name, number in found.items()})
        if found.get(run.cohort.name):
            runs.append(run.run_id)
    return Findings(places={place: number for place, number in places.items() if number}, runs=runs)


def _stored_rows(study: StudyLayout, withdrawn: WithdrawnParticipants, progress: Progress) -> Counter[str]:
    """Return for each array how many rows of withdrawn participants it holds."""
    tasks = plan_erasure(study, withdrawn.rows, withdrawn.duplicates)
    stored = Counter[str]()
    if tasks:
        with progress("shards read") as on_progress:
            for done, task in enumerate(tasks, start=1):
                stored[task.array] += count_rows(task)
                on_progress(done, len(tasks))
    return stored
