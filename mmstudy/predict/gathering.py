"""Find whom to predict: samples of the study, or new people in sources."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmbase.names import AGE, METADATA
from mmdata.errors import StudyError
from mmdata.execution.capacity import Projection, require_capacity
from mmdata.readers.scan import LoadSettings
from mmdata.sources.every import find_sources
from mmdata.study import Study
from mmstudy.models.find import FoundModel
from mmstudy.predict.checking import Expectation, check_tables, find_expectations
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.model_set import ModelSet
from mmstudy.predict.new_people import PeopleRules
from mmstudy.predict.people import FoundPeople, describe_images, enrol_people, source_config, without_tables
from mmstudy.predict.request import ALL_SPLITS, PredictRequest
from mmstudy.predict.scans import worker_bytes
from mmstudy.predict.scratch import open_scratch_folder
from mmstudy.predict.sources import parse_sources
from mmstudy.predict.stored import StoredRules
from mmstudy.predict.study_samples import StoredSamples, list_samples, read_sample_list
from mmstudy.runs.trunk import trunk_of
from mmtrain.data.cohort import read_cohort
from mmtrain.run import RunDirectory


@dataclass(frozen=True, slots=True)
class NewPeople:
    """Those in the sources, and how they are predicted."""

    found: FoundPeople
    rules: PeopleRules


@dataclass(frozen=True, slots=True)
class StudySamples:
    """Those of the study that were asked for, and how they are predicted."""

    samples: StoredSamples
    rules: StoredRules


@contextmanager
def gather(
    study: Study | None, models: ModelSet, request: PredictRequest, *, scans: bool = True
) -> Iterator[StudySamples | NewPeople]:
    """Find whom to predict; what is needed for it lies in a private folder while a block lasts.

    Parameters
    ----------
    scans
        Whether new scans will be held against those of a run's training participants, which are read for it.
    """
    if request.sources:
        with open_scratch_folder() as scratch:
            yield _find_people(study, models, request, scratch, scans=scans)
        return
    assert study is not None
    listed = None if request.sample_list is None else read_sample_list(request.sample_list)
    features = tuple(dict.fromkeys([*models.wanted.features, *models.contract.fields, AGE]))
    split = None if request.split == ALL_SPLITS else request.split
    yield StudySamples(
        list_samples(study, split, listed, features),
        StoredRules(
            wanted=models.wanted,
            expectations=find_expectations(study, models.found, scans=False),
            connectivity=study.config.connectivity.name,
            learnt_from=frozenset(name for model in models.found for name in _training_samples(study, model)),
            allowed=request.allowed,
            batch_size=request.batch_size,
        ),
    )


def _training_samples(study: Study, model: FoundModel) -> list[str]:
    """Return the samples of the study that a model was trained on; none of a bundle, which does not tell."""
    if not model.is_run:
        return []
    run, trunk = RunDirectory(model.path), trunk_of(study.layout, model.card)
    cohorts = [read_cohort(one.cohort) for one in (run, trunk) if one is not None]
    return [cohort.sample_ids[position] for cohort in cohorts for position in cohort.members("train")]


def _find_people(
    study: Study | None, models: ModelSet, request: PredictRequest, scratch: Path, *, scans: bool
) -> NewPeople:
    contract = models.contract
    config = source_config(contract, request.ingest)
    named = parse_sources(request.sources, config)
    if named.images and request.tables:
        raise StudyError("A table cannot be matched to single images: nothing says whose they are.", "Give a folder.")
    if named.images:
        people = describe_images(named.images)
    else:
        found = find_sources(named.folders, config)
        if METADATA not in models.wanted.every:
            found = without_tables(found)
        people = enrol_people(found, request.tables, contract, scratch, study)
    expectations = find_expectations(study, models.found, scans=scans)
    is_one = len(people.people) == 1
    workers = 0 if is_one else min(request.workers, len(people.people))
    require_capacity(Projection(workers=workers, worker_bytes=worker_bytes(request.ingest), disk_bytes=0), scratch)
    settings = LoadSettings(
        volumes=contract.volumes or config.volumes,
        connectivity=config.connectivity,
        ingest=request.ingest,
        scratch=scratch / "heads",
    )
    return NewPeople(
        people,
        PeopleRules(
            wanted=models.wanted,
            expectations=expectations,
            arrays=models.arrays,
            settings=settings,
            allowed=request.allowed,
            of_tables=_check_tables(people, expectations),
            batch_size=request.batch_size,
            workers=workers,
            isolated=is_one,  # sooner than a pool for one, and as safe
        ),
    )


def _check_tables(people: FoundPeople, expectations: Sequence[Expectation]) -> tuple[Deviation, ...]:
    """Return in what tables differ from what the models take for granted."""
    if not people.tables:
        return ()
    columns = {name: people.column(name) for one in expectations for name in one.fields}
    return tuple(check_tables(people.tables, columns, expectations))
