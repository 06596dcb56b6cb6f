"""Make a bundle of a model: all that is needed to use it without the study, to judge it, and to prove it elsewhere."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mmbase.checksums import write_checked
from mmbase.disclosure import SMALLEST_COUNT
from mmbase.files import write_bytes
from mmdata.study import Study
from mmstudy.models.cohort_file import write_training_cohort
from mmstudy.models.cohort_of_run import find_training_cohort
from mmstudy.models.contract import write_contract
from mmstudy.models.find import FoundModel, find_model
from mmstudy.models.new_bundle import new_bundle, require_place
from mmstudy.models.passing_on import require_nobody_withdrawn, require_passable
from mmstudy.models.readme import Readme, render_readme
from mmstudy.on_record import UnwritableStudyError, today
from mmstudy.privacy.disclosure import check_summaries
from mmstudy.privacy.summaries import record_summaries
from mmstudy.privacy.wording import warning_of_exports
from mmstudy.release.check import require_publishable
from mmstudy.release.folder import files_below, offer_files
from mmstudy.release.people import read_people
from mmtrain.aggregates.people import shown_count
from mmtrain.bundle import BundleDirectory
from mmtrain.bundles.golden import compute_outputs, draw_inputs, write_golden
from mmtrain.bundles.onnx_file import OnnxError, can_write, write_onnx
from mmtrain.bundles.results import ToldResults, read_results, tell_results, write_results
from mmtrain.bundles.small_counts import find_small_counts
from mmtrain.errors import TrainError
from mmtrain.intervals import write_intervals
from mmtrain.models.card import ModelCard, write_card
from mmtrain.models.trained import TrainedModel, load_model
from mmtrain.run import RunDirectory

NOT_ON_RECORD = (
    "The study cannot be written, so this export is not on record: mm privacy --exports will not know of it, and it "
    "was not checked against earlier ones."
)
_TOLD_OF_TRAINING = ("split", "augment", "augmented_copies", "seed")
"""What a bundle's card repeats of a run's, beside the sizes of its splits."""
_CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """What the user says of a bundle."""

    licence: str = ""
    """Under which others may use the model; empty: not stated."""
    citation: str = ""
    """What to cite; empty: not stated."""
    onnx: bool | None = None
    """Whether to write an ONNX file: True, or an error says why not; None: where it can be."""
    overwrite: bool = False
    """Replace a bundle that is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedModel:
    """What was made."""

    path: Path
    num_bytes: int
    onnx_note: str
    """Why there is no ONNX file; empty where there is one."""
    headline: str
    """Whether to believe the model; empty where its results are not known."""
    warnings: list[str]
    """What follows from it together with what was exported before."""


def export_model(study: Study | None, name: str, where: Path, options: ExportOptions) -> ExportedModel:
    """Make a bundle of a run or of a model that was imported.

    Parameters
    ----------
    study
        None: there is none, and the model is a bundle itself.
    name
        As `find_model` takes it.
    where
        The folder to make.

    Raises
    ------
    TrainError
        There is no such model, it may not be passed on, or ONNX was asked for and cannot be had.
    StudyError
        Something else is in its place, or no bundle may lie there.
    ReleaseError
        Something in the bundle must not be published.
    """
    place, warnings = require_place(where, overwrite=options.overwrite), list[str]()
    found = find_model(study, name)
    results = None
    if found.is_run:
        assert study is not None  # where there is none, no run is found
        results = _results_of_run(study, found)
        warnings = _put_on_record(study, found, results)
    with new_bundle(place, overwrite=options.overwrite) as bundle:
        results = _write_model(bundle, found, results)
        _write_comparison(study, bundle, found)
        onnx_note = _write_proof(bundle, load_model(bundle.path, _CPU), options.onnx)
        write_bytes(bundle.readme, render_readme(_readme(found, results, onnx_note, options)))
        if found.is_run:
            assert study is not None
            require_nobody_withdrawn(study, found)  # after the writing: it may have happened meanwhile
        people = None if study is None else read_people(study)
        require_publishable(offer_files(bundle.path, files_below(bundle.path)), people)
    num_bytes = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    headline = results.headline if results else ""
    return ExportedModel(path=place, num_bytes=num_bytes, onnx_note=onnx_note, headline=headline, warnings=warnings)


def _put_on_record(study: Study, found: FoundModel, results: ToldResults) -> list[str]:
    """Put on record what is about to be told of whom; return what the rules of disclosure say, with earlier exports."""
    run = RunDirectory(found.path)
    told = {(target.name, group.by, group.group) for target in results.targets for group in target.groups}
    targets = [target.name for target in results.targets]
    try:
        record_summaries(study.layout, "bundle", [(run, targets)], {run.run_id: told})
    except UnwritableStudyError:  # a bundle has nobody whom a withdrawal would have to reach
        return [NOT_ON_RECORD]
    return warning_of_exports(check_summaries(study, only_run=run.run_id))


def _readme(found: FoundModel, results: ToldResults | None, onnx_note: str, options: ExportOptions) -> Readme:
    return Readme(
        card=found.card,
        contract=found.contract,
        results=results,
        onnx_note=onnx_note,
        licence=options.licence.strip(),
        citation=options.citation.strip(),
        date=today(),
    )


def _write_model(bundle: BundleDirectory, found: FoundModel, results: ToldResults | None) -> ToldResults | None:
    """Write everything that says what the model is; return what may be told of its results, if they are known."""
    source = BundleDirectory(found.path)
    write_checked(bundle.model, source.model.read_bytes())
    write_card(bundle.model_card, _told_card(found.card) if found.is_run else found.card)
    write_contract(bundle.contract, found.contract)
    if results is None and source.results.is_file():
        results = read_results(source.results)
    if results is not None:
        write_results(bundle.results, results)
    return results


def _write_comparison(study: Study | None, bundle: BundleDirectory, found: FoundModel) -> None:
    """Write what new people are held against, and how wide their prediction intervals are, where it is known."""
    cohort = find_training_cohort(study, found)
    if not cohort.is_empty:
        write_training_cohort(bundle.training_cohort, cohort)
    if (intervals := found.intervals()).of:
        write_intervals(bundle.intervals, intervals)


def _write_proof(bundle: BundleDirectory, model: TrainedModel, onnx: bool | None) -> str:
    """Write the golden examples and, where wanted and possible, the ONNX file; return why there is none."""
    inputs = draw_inputs(model.card)
    outputs = compute_outputs(model, inputs)
    write_golden(bundle, inputs, outputs)
    if onnx is False:
        return "It was not asked for."
    if onnx is None and not can_write():
        return "The libraries that write it were not installed: pip install 'megamodeller[onnx]'."
    try:
        write_onnx(bundle.onnx, model, inputs, outputs)
    except OnnxError as error:
        if onnx:
            raise
        return str(error)
    return ""


def _results_of_run(study: Study, found: FoundModel) -> ToldResults:
    facts, cohort = require_passable(study, found)
    if names := find_small_counts(cohort, found.card):
        raise TrainError(
            f"Run {facts.run_id} was trained on fewer than {SMALLEST_COUNT} people who have, share, lack or differ in "
            f"a value of {', '.join(names)}, and their number would follow from what the model keeps of it: it cannot "
            "be passed on.",
            "Train it again on more people, or without such a feature: define it in study.toml with no block.",
        )
    return tell_results(facts, cohort)


def _told_card(card: ModelCard) -> ModelCard:
    """Return the card of a run with what may be told of its training, and nothing that predictions do not need."""
    sizes: dict[str, int] = card.trained_on.get("n", {})
    told = {name: value for name, value in card.trained_on.items() if name in _TOLD_OF_TRAINING}
    if trunk := card.trained_on.get("trunk"):
        told["trunk"] = {name: value for name, value in trunk.items() if name != "n"}  # beside its own, n tells of few
    parameters = {name: value for name, value in card.shape.parameters.items() if name != "trunk"}
    return replace(
        card,
        shape=replace(card.shape, parameters=parameters),
        trained_on={"n": {split: _told_size(size) for split, size in sizes.items()}, **told},
        features=card.features.without_unseen(),
    )


def _told_size(size: int) -> int | str:
    return size if size == 0 or size >= SMALLEST_COUNT else shown_count(size)
