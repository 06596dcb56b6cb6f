"""Predict with one model or several, from samples of the study or from files of new people, and write one file.

Nothing is written before all is predicted; what is read of new people is kept nowhere.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from catalog.export.files import require_writable
from mmbase.names import METADATA
from mmdata.errors import StudyError
from mmdata.execution.capacity import Projection, require_capacity
from mmdata.readers.brain import require_extractor
from mmdata.readers.scan import LoadSettings
from mmdata.study import Study
from mmstudy.models.contract import InputContract
from mmstudy.models.find import FoundModel, find_model
from mmstudy.outputs import keep_if_present, record_output
from mmstudy.predict.checking import check_tables, require_known
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.inputs import WantedInputs
from mmstudy.predict.new_people import PeopleRules, memory_bytes, predict_people
from mmstudy.predict.people import (
    FoundPeople,
    describe_images,
    enrol_people,
    source_config,
    without_tables,
)
from mmstudy.predict.predictor import (
    Affines,
    ArrayKey,
    Predictor,
    all_inputs,
    arrays_of,
    load_predictor,
    needed_inputs,
    require_together,
    shown_features,
)
from mmstudy.predict.request import ALL_SPLITS, PredictRequest
from mmstudy.predict.samples import Outcome
from mmstudy.predict.scans import WORKER_BYTES
from mmstudy.predict.scratch import open_scratch_folder
from mmstudy.predict.sources import find_people, parse_sources
from mmstudy.predict.stored import (
    StoredRules,
    StoredSamples,
    list_samples,
    predict_stored,
    read_sample_list,
    store_attributes,
    stored_memory_bytes,
)
from mmstudy.predict.summary import PredictionSummary, summarise
from mmstudy.predict.table import SUFFIXES, prediction_frame, write_predictions
from mmstudy.progress import Progress
from mmtrain.device import choose_device

ORDER = "Rows are in the order of the source's own identifiers; --identify writes these into the file."


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictionPlan:
    """What a prediction would do."""

    num_samples: int
    num_scans: int
    """To read and preprocess; none of the study's samples."""
    workers: int
    memory_bytes: int
    """At most, beside the network's own."""


@dataclass(frozen=True, slots=True)
class _Models:
    """The models that were asked for, and what they take together."""

    found: tuple[FoundModel, ...]

    @property
    def contract(self) -> InputContract:
        """Return how all of their inputs are made."""
        contracts = [model.contract for model in self.found]
        return InputContract(
            volumes=next((one.volumes for one in contracts if one.volumes), None),
            connectivity=next((one.connectivity for one in contracts if one.connectivity), None),
            fields={name: definition for one in contracts for name, definition in one.fields.items()},
            assumed={name: sentence for one in contracts for name, sentence in one.assumed.items()},
        )

    @property
    def arrays(self) -> tuple[ArrayKey, ...]:
        return tuple(dict.fromkeys(key for model in self.found for key in arrays_of(model.card)))

    @property
    def wanted(self) -> WantedInputs:
        return WantedInputs(
            every=all_inputs(self.found),
            needed=frozenset(needed_inputs(self.found)),
            features=tuple(dict.fromkeys(name for model in self.found for name in shown_features(model.card))),
        )


@dataclass(frozen=True, slots=True)
class _NewPeople:
    """Those in the sources, and how they are predicted."""

    found: FoundPeople
    rules: PeopleRules


@dataclass(frozen=True, slots=True)
class _StudySamples:
    """Those of the study that were asked for, and how they are predicted."""

    samples: StoredSamples
    rules: StoredRules


def plan_prediction(study: Study | None, request: PredictRequest) -> PredictionPlan:
    """Return what a prediction would do; nothing is read but names and tables.

    Raises
    ------
    MmError
        As `run_prediction`.
    """
    models = _prepare(study, request)
    with _gather(study, models, request) as gathered:
        if isinstance(gathered, _StudySamples):
            size = len(gathered.samples.entries)
            memory = stored_memory_bytes(gathered.rules, models.arrays)
            return PredictionPlan(num_samples=size, num_scans=0, workers=0, memory_bytes=memory)
        people, rules = gathered.found.people, gathered.rules
        modalities = {modality for modality, _ in rules.arrays}
        return PredictionPlan(
            num_samples=len(people),
            num_scans=sum(len(modalities.intersection(person.scans)) for person in people),
            workers=min(rules.workers, len(people)),
            memory_bytes=memory_bytes(rules, len(people)),
        )


def run_prediction(study: Study | None, request: PredictRequest, progress: Progress) -> PredictionSummary:
    """Predict, and write the file.

    Raises
    ------
    MmError
        A model, a source or the file cannot be used, or participants have withdrawn meanwhile; no file is written.
    """
    models = _prepare(study, request)
    with _gather(study, models, request) as gathered:
        _put_on_record(study, request, gathered)
        predictor = load_predictor(
            models.found, choose_device(request.device), request.level, _affines(study, models, gathered)
        )
        if isinstance(gathered, _StudySamples):
            assert study is not None
            with progress("samples") as on_progress:
                outcomes = predict_stored(study, gathered.samples, predictor, gathered.rules, on_progress)
        else:
            with progress("people") as on_progress:
                outcomes = predict_people(gathered.found.people, predictor, gathered.rules, on_progress)
    assumed = models.contract.assumed
    _write(study, request, outcomes, predictor, list(assumed))
    people = gathered.found if isinstance(gathered, _NewPeople) else FoundPeople(people=())
    return summarise(
        outcomes,
        predictor,
        output=str(request.output),
        assumed=assumed,
        order=ORDER if isinstance(gathered, _NewPeople) and not request.identify else "",
        num_withdrawn=people.num_withdrawn,
        num_not_understood=people.num_not_understood,
    )


def _prepare(study: Study | None, request: PredictRequest) -> _Models:
    """Refuse what cannot end well, before any work; return the models."""
    require_writable(request.output, SUFFIXES, overwrite=request.overwrite)
    require_known(request.allowed)
    if study is None and not request.sources:
        raise StudyError(
            "There is no study here to predict samples of, and no source was named.",
            "Name the study with --study DIR, or new people: ukb:DIR, bids:DIR, folder:DIR or t1=FILE.nii.gz.",
        )
    if request.ingest.brain_extractor:
        require_extractor(request.ingest.brain_extractor)
    found = tuple(find_model(study, name) for name in request.models)
    require_together(found)
    for model in found:
        _require_made(model)
    return _Models(found)


def _require_made(model: FoundModel) -> None:
    """Refuse a model whose contract does not say how its volumes are made."""
    shape, volumes = model.card.shape, model.contract.volumes
    if shape.volumes and (volumes is None or shape.side not in volumes.sides):
        raise StudyError(
            f"The contract of {model.name} does not say how volumes of side {shape.side} are made, which it takes.",
            "Export or import the model again.",
        )


@contextmanager
def _gather(study: Study | None, models: _Models, request: PredictRequest) -> Iterator[_StudySamples | _NewPeople]:
    """Find whom to predict; what is needed for it lies in a private folder while a block lasts."""
    if request.sources:
        with open_scratch_folder() as scratch:
            yield _find_people(study, models, request, scratch)
        return
    assert study is not None
    listed = None if request.sample_list is None else read_sample_list(request.sample_list)
    features = tuple(dict.fromkeys([*models.wanted.features, *models.contract.fields]))
    split = None if request.split == ALL_SPLITS else request.split
    yield _StudySamples(
        list_samples(study, split, listed, features),
        StoredRules(
            wanted=models.wanted,
            connectivity=study.config.connectivity.name,
            allowed=request.allowed,
            batch_size=request.batch_size,
        ),
    )


def _find_people(study: Study | None, models: _Models, request: PredictRequest, scratch: Path) -> _NewPeople:
    contract = models.contract
    config = source_config(contract, request.ingest)
    named = parse_sources(request.sources, config)
    if named.images and request.tables:
        raise StudyError("A table cannot be matched to single images: nothing says whose they are.", "Give a folder.")
    if named.images:
        people = describe_images(named.images)
    else:
        found = find_people(named, config)
        if METADATA not in models.wanted.every:
            found = without_tables(found)
        people = enrol_people(found, request.tables, contract, scratch, study)
    is_one = len(people.people) == 1
    workers = 0 if is_one else min(request.workers, len(people.people))
    require_capacity(Projection(workers=workers, worker_bytes=WORKER_BYTES, disk_bytes=0), scratch)
    settings = LoadSettings(
        volumes=contract.volumes or config.volumes,
        connectivity=config.connectivity,
        ingest=request.ingest,
        scratch=scratch / "heads",
    )
    return _NewPeople(
        people,
        PeopleRules(
            wanted=models.wanted,
            arrays=models.arrays,
            settings=settings,
            allowed=request.allowed,
            of_tables=_check_tables(people, models),
            batch_size=request.batch_size,
            workers=workers,
            isolated=is_one,  # sooner than a pool for one, and as safe
        ),
    )


def _check_tables(people: FoundPeople, models: _Models) -> tuple[Deviation, ...]:
    """Return in what tables differ from what the models take for granted."""
    if not people.tables:
        return ()
    columns = {name: people.column(name) for name in models.contract.fields}
    return tuple(check_tables(people.tables, columns, models.found))


def _affines(study: Study | None, models: _Models, gathered: _StudySamples | _NewPeople) -> Affines:
    """Return how the rows lie that the models will be given."""
    if isinstance(gathered, _StudySamples):
        assert study is not None
        attributes = store_attributes(study, models.arrays, gathered.rules.connectivity)
        return {name: of["affine_ras"] for name, of in attributes.items() if "affine_ras" in of}
    volumes = gathered.rules.settings.volumes
    return {modality: volumes.grid(side).affine_44 for modality, side in models.arrays if side}


def _put_on_record(study: Study | None, request: PredictRequest, gathered: _StudySamples | _NewPeople) -> None:
    """Put the file on record where it will show participants of the study, so that their withdrawal reaches it."""
    everybody = gathered.found.people if isinstance(gathered, _NewPeople) else gathered.samples.entries
    if study is not None and any(one.sample.row is not None for one in everybody):
        record_output(study.layout, request.output)


def _write(
    study: Study | None, request: PredictRequest, outcomes: Sequence[Outcome], predictor: Predictor, assumed: list[str]
) -> None:
    """Write the file, unless one of the study's participants whom it shows has withdrawn meanwhile."""
    rows = [outcome.sample.row for outcome in outcomes if outcome.sample.row is not None]
    frame = prediction_frame(outcomes, predictor, assumed, identify=request.identify)
    write_predictions(request.output, frame)
    if study is not None:
        keep_if_present(study.layout, request.output, rows)
