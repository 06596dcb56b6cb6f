"""Read the scans of one new person by the ingest's own code: the unit of work of a prediction from files."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mmbase.names import CONNECTIVITY
from mmbase.records import ScanCandidate
from mmdata.execution.allocator import keep_freed_memory
from mmdata.execution.capacity import BASE_WORKER_BYTES
from mmdata.ingest import NATIVE_BYTES_PER_VOXEL, RETRIED_REASONS
from mmdata.readers.scan import LoadedScan, LoadSettings
from mmdata.shard import describe_rejection, load_first_copy
from mmdata.volume.deepbet import DEEPBET
from mmdata.volume.deepbet import WORKER_BYTES as DEEPBET_BYTES
from mmdata.volume.nifti import MAX_VOXELS
from mmdata.volume.resample import limit_threads
from mmdata.volume.settings import IngestSettings
from mmstudy.own_stores import ArrayKey
from mmstudy.predict.remedies import REMEDIES
from mmstudy.predict.samples import Fault

WORKER_BYTES = BASE_WORKER_BYTES + MAX_VOXELS * NATIVE_BYTES_PER_VOXEL
"""Peak memory of a process that reads one scan after the other; of everybody's rows it holds one person's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonTask:
    """The scans of one person that a model has a use for."""

    position: int
    """Of the person."""
    scans: tuple[ScanCandidate, ...] = field(repr=False)
    arrays: tuple[ArrayKey, ...]
    """Rows to return."""
    settings: LoadSettings = field(repr=False)
    isolated: bool = False
    """Whether each scan is loaded in a process of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadPerson:
    """What became of the scans of one person."""

    position: int
    scans: Mapping[str, LoadedScan] = field(repr=False)
    """By modality, each with the rows that were asked for alone."""
    rejected: Mapping[str, Fault]
    """By modality."""


def worker_bytes(ingest: IngestSettings) -> int:
    """Return the peak memory of a process that reads scans by these settings."""
    return WORKER_BYTES + (DEEPBET_BYTES if ingest.brain_extractor == DEEPBET else 0)


def read_person(task: PersonTask) -> ReadPerson:
    """Read and preprocess a person's scans; nothing is stored.

    Raises
    ------
    CapacityError
        Memory ran out.
    """
    limit_threads(1)
    keep_freed_memory()
    scans: dict[str, LoadedScan] = {}
    rejected: dict[str, Fault] = {}
    for candidate in task.scans:
        loaded, rejections = load_first_copy(candidate, task.settings, isolated=task.isolated)
        if loaded is None:
            rejected[candidate.modality] = rejection_fault(
                candidate.modality, rejections[0].reason, describe_rejection(rejections)
            )
            continue
        names = [row_name(key, task.settings) for key in task.arrays if key[0] == candidate.modality]
        scans[candidate.modality] = replace(loaded, rows={name: loaded.rows[name] for name in names})
    return ReadPerson(position=task.position, scans=scans, rejected=rejected)


def rejection_fault(modality: str, reason: str, detail: str) -> Fault:
    """Return why a rejected scan cannot be predicted from; it failed where the machine may be at fault."""
    remedy = f". {REMEDIES[reason]}" if reason in REMEDIES else ""
    return Fault(name=reason, text=f"{reason} ({modality}): {detail}{remedy}", is_failure=reason in RETRIED_REASONS)


def row_name(key: ArrayKey, settings: LoadSettings) -> str:
    """Return what the ingest calls a row."""
    modality, side = key
    return settings.connectivity.name if modality == CONNECTIVITY else str(side)
