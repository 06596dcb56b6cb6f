"""Predict with one model or several, from samples of the study or from files of new people, and write one file.

Nothing is written before all is predicted; what is read of new people is kept nowhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from catalog.export.files import write_frame
from mmdata.readers.brain import require_extractor
from mmdata.study import Study
from mmstudy.outputs import keep_if_present, record_output
from mmstudy.own_stores import store_attributes
from mmstudy.predict.gathering import NewPeople, StudySamples, gather
from mmstudy.predict.model_set import ModelSet, find_models
from mmstudy.predict.new_people import memory_bytes, predict_people
from mmstudy.predict.people import FoundPeople
from mmstudy.predict.predictor import Affines, Predictor, load_predictor
from mmstudy.predict.request import PredictRequest, require_feasible
from mmstudy.predict.samples import Outcome
from mmstudy.predict.stored import predict_stored, stored_memory_bytes
from mmstudy.predict.summary import PredictionSummary, summarise
from mmstudy.predict.table import prediction_frame, units_of_columns
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


def plan_prediction(study: Study | None, request: PredictRequest) -> PredictionPlan:
    """Return what a prediction would do; no scan is read, only names, tables and the models.

    Raises
    ------
    MmError
        As `run_prediction`.
    """
    models = _prepare(study, request)
    with gather(study, models, request, scans=False) as gathered:
        if isinstance(gathered, StudySamples):
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
    with gather(study, models, request) as gathered:
        _put_on_record(study, request, gathered)
        predictor = load_predictor(
            models.found, choose_device(request.device), request.level, _affines(study, models, gathered)
        )
        if isinstance(gathered, StudySamples):
            assert study is not None
            with progress("samples") as on_progress:
                outcomes = predict_stored(study, gathered.samples, predictor, gathered.rules, on_progress)
        else:
            with progress("people") as on_progress:
                outcomes = predict_people(gathered.found.people, predictor, gathered.rules, on_progress)
    assumed = models.contract.assumed
    _write(study, request, outcomes, predictor, list(assumed))
    people = gathered.found if isinstance(gathered, NewPeople) else FoundPeople(people=())
    return summarise(
        outcomes,
        predictor,
        output=str(request.output),
        assumed=assumed,
        order=ORDER if not request.identify and any(one.sample.participant for one in people.people) else "",
        num_withdrawn=people.num_withdrawn,
        num_not_understood=people.num_not_understood,
    )


def _prepare(study: Study | None, request: PredictRequest) -> ModelSet:
    """Refuse what cannot end well, before any work; return the models."""
    require_feasible(study, request)
    if request.ingest.brain_extractor:
        require_extractor(request.ingest.brain_extractor)
    return find_models(study, request.models)


def _affines(study: Study | None, models: ModelSet, gathered: StudySamples | NewPeople) -> Affines:
    """Return how the rows lie that the models will be given."""
    if isinstance(gathered, StudySamples):
        assert study is not None
        attributes = store_attributes(study, models.arrays, gathered.rules.connectivity)
        return {name: of["affine_ras"] for name, of in attributes.items() if "affine_ras" in of}
    volumes = gathered.rules.settings.volumes
    return {modality: volumes.grid(side).affine_44 for modality, side in models.arrays if side}


def _put_on_record(study: Study | None, request: PredictRequest, gathered: StudySamples | NewPeople) -> None:
    """Put the file on record where it will show participants of the study, so that their withdrawal reaches it."""
    everybody = gathered.found.people if isinstance(gathered, NewPeople) else gathered.samples.entries
    if study is not None and any(one.sample.row is not None for one in everybody):
        record_output(study.layout, request.output)


def _write(
    study: Study | None, request: PredictRequest, outcomes: Sequence[Outcome], predictor: Predictor, assumed: list[str]
) -> None:
    """Write the file, unless one of the study's participants whom it shows has withdrawn meanwhile."""
    rows = [outcome.sample.row for outcome in outcomes if outcome.sample.row is not None]
    frame = prediction_frame(outcomes, predictor, assumed, identify=request.identify)
    write_frame(request.output, frame, units_of_columns(predictor))
    if study is not None:
        keep_if_present(study.layout, request.output, rows)
