"""Predict from files of new people: read in worker processes, predicted here in batches as they come, kept nowhere.

At any time there are in memory: two people for each worker on their way, and one batch that waits.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmbase.names import METADATA
from mmbase.records import with_t1
from mmdata.execution.tasks import TASKS_IN_FLIGHT_PER_THREAD, run_tasks
from mmdata.readers.scan import LoadSettings
from mmstudy.own_stores import ArrayKey
from mmstudy.predict.checking import Expectation, check_features, check_scan, divide
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.inputs import WantedInputs, find_faults, has_features, lacking_inputs, missing_warnings
from mmstudy.predict.model_set import sample_bytes
from mmstudy.predict.people import Person
from mmstudy.predict.predictor import InputBatch, Predictor
from mmstudy.predict.samples import Outcome, finish_all
from mmstudy.predict.scans import PersonTask, ReadPerson, read_person, row_name, worker_bytes

_ASSUMED_TRANSFORMS = {
    "registration": "registered to the template here",
    "reference-grid": "assumed: on the reference study's grid",
}
"""What a scan's transform may be taken from, other than its source."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PeopleRules:
    """How new people are predicted."""

    wanted: WantedInputs
    expectations: tuple[Expectation, ...]
    """What each model takes for granted."""
    arrays: tuple[ArrayKey, ...]
    """Rows that the models read."""
    settings: LoadSettings
    allowed: frozenset[str]
    """Names of deviations that are only warned of."""
    of_tables: tuple[Deviation, ...]
    """Deviations of the tables, which are everybody's."""
    batch_size: int
    workers: int
    isolated: bool = False
    """Whether each scan is loaded in a process of its own."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A person who can be predicted."""

    position: int
    rows: Mapping[ArrayKey, NDArray[Any]]


def predict_people(
    people: Sequence[Person], predictor: Predictor, rules: PeopleRules, on_progress: Callable[[int, int], None]
) -> list[Outcome]:
    """Return what became of each person, in their order.

    Raises
    ------
    DataError
        Worker processes cannot be started, or memory ran out.
    """
    outcomes: dict[int, Outcome] = {}
    waiting: dict[frozenset[str], list[_Waiting]] = defaultdict(list)
    tasks = [_task(position, person, rules) for position, person in enumerate(people)]
    finished = run_tasks(
        read_person,
        tasks,
        workers=rules.workers,
        memory_bytes=worker_bytes(rules.settings.ingest),
        on_crash=lambda task: replace(task, isolated=True),
    )

    def predict(group: frozenset[str]) -> None:
        members = waiting.pop(group)
        predicted = predictor.predict(_batch(members, people, rules.wanted, group))
        finish_all(outcomes, [member.position for member in members], *predicted)

    on_progress(0, len(people))
    with closing(finished):
        for number, read in enumerate(finished, start=1):
            person = people[read.position]
            present = _present(person, read, rules.wanted)
            outcome = _judge(person, read, present, rules)
            outcomes[read.position] = outcome
            if not outcome.faults:
                waiting[present].append(_Waiting(read.position, _rows(read, rules)))
            if sum(map(len, waiting.values())) >= rules.batch_size:
                largest = max(waiting, key=lambda group: len(waiting[group]))
                predict(largest)
            on_progress(number, len(people))
    for group in list(waiting):
        predict(group)
    return [outcomes[position] for position in range(len(people))]


def memory_bytes(rules: PeopleRules, num_people: int) -> int:
    """Return the peak memory of reading and waiting, beside the network's own."""
    workers = max(1, min(rules.workers, num_people))
    in_flight = workers * TASKS_IN_FLIGHT_PER_THREAD
    person_bytes = sample_bytes(rules.arrays, rules.settings.connectivity.name)
    return workers * worker_bytes(rules.settings.ingest) + (in_flight + 2 * rules.batch_size) * person_bytes


def _task(position: int, person: Person, rules: PeopleRules) -> PersonTask:
    modalities = [modality for modality, _ in rules.arrays]
    scans = {scan.modality: scan for scan in with_t1(person.scans.values())}
    return PersonTask(
        position=position,
        scans=tuple(scans[modality] for modality in dict.fromkeys(modalities) if modality in scans),
        arrays=rules.arrays,
        settings=rules.settings,
        isolated=rules.isolated,
    )


def _present(person: Person, read: ReadPerson, wanted: WantedInputs) -> frozenset[str]:
    """Return the inputs that a person has."""
    features = [METADATA] if METADATA in wanted.every and has_features(wanted, person.features) else []
    return frozenset([*read.scans, *features])


def _judge(person: Person, read: ReadPerson, present: Collection[str], rules: PeopleRules) -> Outcome:
    """Return what is known of a person before they are predicted."""
    deviations = [
        *rules.of_tables,
        *(one for modality, scan in read.scans.items() for one in check_scan(scan, modality, rules.expectations)),
        *check_features(person.features, rules.expectations),
    ]
    faults, allowed = divide(deviations, rules.allowed)
    faults = [*find_faults(rules.wanted, present, read.rejected, person.features), *faults]
    assumed = [
        f"{modality} {_ASSUMED_TRANSFORMS[source]}"
        for modality, scan in read.scans.items()
        if (source := scan.provenance.get("transform", "")) in _ASSUMED_TRANSFORMS
    ]
    lacking = [] if faults else missing_warnings(rules.wanted, present, read.rejected, person.features)
    return Outcome(
        sample=person.sample,
        faults=tuple(faults),
        warnings=(*person.warnings, *assumed, *lacking),
        without=lacking_inputs(rules.wanted, present),
        allowed=allowed,
    )


def _rows(read: ReadPerson, rules: PeopleRules) -> dict[ArrayKey, NDArray[Any]]:
    """Return the rows of a person's scans."""
    scans = read.scans
    return {key: scans[key[0]].rows[row_name(key, rules.settings)] for key in rules.arrays if key[0] in scans}


def _batch(
    members: Sequence[_Waiting], people: Sequence[Person], wanted: WantedInputs, present: Collection[str]
) -> InputBatch:
    """Return people who have the same inputs as a batch."""
    rows = {key: np.stack([member.rows[key] for member in members]) for key in members[0].rows}
    if METADATA not in present:
        return InputBatch(rows, None)
    of_people = [people[member.position].features for member in members]
    return InputBatch(
        rows, {name: np.array([given.get(name, np.nan) for given in of_people]) for name in wanted.features}
    )
