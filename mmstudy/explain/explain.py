"""Explain a model of a study: one sample, or the means over people of a split."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from mmbase.files import to_json
from mmdata.study import Study
from mmstudy.explain.files import require_new_folder, write_files
from mmstudy.explain.maps import Words, files_of_groups, files_of_sample
from mmstudy.explain.people import People, cohort_of, one_sample, people_of_split, require_finished
from mmstudy.explain.rankings import file_of_sample, files_of_ranking, parts_of, rank
from mmstudy.explain.reading import mean_edges, stream_inputs
from mmstudy.explain.record import describe, notes_of, notes_of_groups
from mmstudy.explain.request import ExplainRequest
from mmstudy.models.find import FoundModel, find_model
from mmstudy.progress import Progress
from mmtrain.data.cohort import Cohort
from mmtrain.device import choose_device
from mmtrain.errors import TrainError
from mmtrain.explain.attribution import Attribution
from mmtrain.explain.completeness import check_completeness
from mmtrain.explain.explainer import Explainer, find_target, require_explainable
from mmtrain.explain.groups import Groups, find_groups
from mmtrain.explain.inputs import Inputs, baseline_inputs
from mmtrain.explain.library import load_captum
from mmtrain.explain.means import GroupMeans
from mmtrain.models.trained import TrainedModel

EXPLANATION = "explanation.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """What was written."""

    content: dict[str, Any]
    """Of explanation.json."""
    notes: tuple[str, ...]
    """What users should know before they believe it, a sentence each."""
    seconds_per_sample: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prepared:
    """A model that is ready to be explained."""

    model: FoundModel
    loaded: TrainedModel
    explainer: Explainer
    cohort: Cohort | None

    def words(self, whom: str) -> Words:
        kind, target = self.loaded.card.fitted.kinds, self.loaded.card.targets
        index = self.explainer.target
        unit = kind[index].explained_unit(target[index].unit)
        return Words(model=self.model, explainer=self.explainer, unit=unit, whom=whom)


def explain_sample(study: Study, request: ExplainRequest, sample_id: str, progress: Progress) -> Explained:
    """Explain what a model makes of one sample; the files are that person's data, and on record for withdrawals.

    Raises
    ------
    TrainError, DataError, CatalogError
        The model cannot be explained, or the study has no such sample with all that the model needs.
    """
    prepared = _prepare(study, request, needs_cohort=request.edges_baseline == "mean")
    people = one_sample(study, prepared.model.card, sample_id)
    started = time.perf_counter()
    with progress("samples") as on_progress:
        on_progress(0, 1)
        ((inputs, attribution),) = _explain(study, prepared, people)
        on_progress(1, 1)
    seconds = time.perf_counter() - started
    words = prepared.words("sample of the study")
    files = dict[str, bytes]()
    if attribution.volumes_BCXYZ is not None and inputs.volumes_BCXYZ is not None:
        files |= files_of_sample(words, attribution.volumes_BCXYZ[0], inputs.volumes_BCXYZ[0].cpu().numpy())
    files |= dict(file_of_sample(parts) for parts in parts_of(prepared.model, [attribution]))
    completeness = check_completeness([attribution])
    content = {
        **describe(request, words, attribution.baseline, completeness),
        "what": "one sample: data of one person",
        "sample_id": sample_id,
        "output": float(attribution.output_B[0]),
        "files": [*files, EXPLANATION],
    }
    files[EXPLANATION] = to_json(content)
    write_files(study.layout, request.output, files, people.rows.tolist(), of_one_person=True)
    notes = notes_of([attribution], completeness)
    return Explained(content=content, notes=tuple(notes), seconds_per_sample=seconds)


def explain_split(
    study: Study, request: ExplainRequest, split: str, num_samples: int | None, progress: Progress
) -> Explained:
    """Explain what a model uses on average over people of a split, and over groups of ten and more of them.

    Raises
    ------
    TrainError, DataError, CatalogError
        The model cannot be explained, or there are fewer than ten people.
    """
    prepared = _prepare(study, request, needs_cohort=True)
    card, target = prepared.model.card, prepared.explainer.target
    assert prepared.cohort is not None
    people = people_of_split(prepared.cohort, card, target, split, num_samples=num_samples, seed=request.seed)
    groups = find_groups(card.targets[target], card.fitted.kinds[target], people.labels, people.participants)
    words = prepared.words(f"{split} split")
    started = time.perf_counter()
    means, attributions = _explain_people(study, prepared, people, groups, progress)
    seconds = (time.perf_counter() - started) / len(people)
    num_people = groups.told[0].num_people
    kinds = parts_of(prepared.model, attributions)
    rankings = {parts.what: rank(parts, people.participants, request.seed) for parts in kinds}
    files = {} if means is None else dict(files_of_groups(words, groups.told, means))
    for what, ranked in rankings.items():
        files |= files_of_ranking(words, what, ranked, num_people)
    completeness = check_completeness(attributions)
    content = {
        **describe(request, words, attributions[0].baseline, completeness),
        "what": "means over people",
        "split": split,
        "num_people": num_people,
        "num_samples": len(people),
        "groups": {group.name: group.num_people for group in groups.told},
        "not_told": list(groups.hidden),
        "rankings": {what: [asdict(part) for part in ranked] for what, ranked in rankings.items()},
        "files": [*files, EXPLANATION],
    }
    files[EXPLANATION] = to_json(content)
    write_files(study.layout, request.output, files, people.rows.tolist(), of_one_person=False)
    notes = [*notes_of(attributions, completeness), *notes_of_groups(groups)]
    return Explained(content=content, notes=tuple(notes), seconds_per_sample=seconds)


def _prepare(study: Study, request: ExplainRequest, *, needs_cohort: bool) -> _Prepared:
    """Find and load the model, and make its baseline; whatever can be refused is refused here."""
    load_captum()
    require_new_folder(request.output)
    require_finished(study, request.model)
    model = find_model(study, request.model)
    require_explainable(model.card, request.settings)
    target = find_target(model.card, request.target)
    loaded = model.load(choose_device(request.device))
    cohort = cohort_of(study, model) if needs_cohort else None
    edges = None
    if request.edges_baseline == "mean":
        if not model.is_run or cohort is None or not model.card.shape.num_edges:
            raise TrainError(
                "--edges-baseline mean needs a run of this study with connectivity among its inputs.",
                "Leave it out: edges of the baseline are then 0.",
            )
        edges = mean_edges(study, model, cohort.rows[cohort.members("train")])
    baseline = baseline_inputs(model.card, loaded.device, edges)
    explainer = Explainer(model=loaded, target=target, baseline=baseline, settings=request.settings)
    return _Prepared(model=model, loaded=loaded, explainer=explainer, cohort=cohort)


def _explain(study: Study, prepared: _Prepared, people: People) -> Iterator[tuple[Inputs, Attribution]]:
    size = prepared.explainer.batch_size
    for inputs in stream_inputs(study, prepared.model, prepared.loaded, people, size):
        yield inputs, prepared.explainer.explain(inputs)


def _explain_people(
    study: Study, prepared: _Prepared, people: People, groups: Groups, progress: Progress
) -> tuple[GroupMeans | None, list[Attribution]]:
    """Return the means of all maps, and the attributions without their maps."""
    shape = prepared.model.card.shape
    means = GroupMeans(groups.told, (len(shape.volumes), *(shape.side,) * 3)) if shape.volumes else None
    small, done = list[Attribution](), 0
    with progress("samples") as on_progress:
        on_progress(0, len(people))
        for inputs, attribution in _explain(study, prepared, people):
            if means is not None and attribution.volumes_BCXYZ is not None and inputs.volumes_BCXYZ is not None:
                means.add(done, attribution.volumes_BCXYZ, inputs.volumes_BCXYZ.float().cpu().numpy())
            small.append(attribution.without_maps())
            done += len(inputs)
            on_progress(done, len(people))
    return means, small
