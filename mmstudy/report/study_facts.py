"""Read what a study says beside the scores of its models: from the catalogue, its stores and the runs of best sets."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import polars as pl

from catalog.database import Connection, open_catalog
from catalog.export.group_counts import SPLIT, count_groups
from catalog.fields import Dictionary, block_names
from catalog.first_visits import count_splits, first_visits, label_frame
from catalog.scans import count_stored, stored_training_rows
from mmbase.counting import counting
from mmbase.json_text import DamagedTextError, read_json
from mmdata.qc.mean_picture import MOST_SAMPLES, draw_mean
from mmdata.qc.section import modality_title
from mmdata.study import Study
from mmdata.synth.marker import is_synthetic
from mmstudy.comparison.compare import Comparison
from mmstudy.comparison.contenders import OF_CONTENDER
from mmstudy.comparison.contributions import BINARY, CONTINUOUS
from mmstudy.progress import Progress
from mmstudy.report.associations import SPLITS_OF_LABELS, associations_of
from mmstudy.report.facts import (
    ALL_MODALITIES,
    Association,
    DataFacts,
    InputFacts,
    MeanImage,
    SplitSize,
    StudyFacts,
    TestedModel,
)
from mmstudy.report.models import runs_of
from mmstudy.report.tested import tested_model
from mmstudy.runs.folders import require_cleaned, study_runs
from mmstudy.sources import parse_sources
from mmtrain.page.reading import find_state, read_targets
from mmtrain.privacy.finding import Level, read_privacy
from mmtrain.run import RunDirectory

Runs = Mapping[str, RunDirectory]
_MOST_FEATURES = 12
"""Of a group, that are named."""


def read_data_facts(study: Study, targets: Sequence[str], dictionary: Dictionary, progress: Progress) -> DataFacts:
    """Return what a study says of its data.

    Parameters
    ----------
    targets
        Whose labels are looked at; those that the dictionary does not know are passed over.

    Raises
    ------
    CatalogError, StoreError
        The catalogue or a store cannot be read.
    """
    known = [name for name in targets if name in dictionary]
    with open_catalog(study.layout.catalog) as catalog:
        sizes = count_splits(catalog)
        totals, tables = (count_groups(catalog, dictionary, known, by) if known else [] for by in ("", SPLIT))
        labels = label_frame(catalog, known, SPLITS_OF_LABELS)
        rows = _training_rows(catalog, study)
        inputs = [*_modalities(catalog, study), *_groups(dictionary)]
    return DataFacts(
        splits={split: SplitSize(samples=samples, participants=people) for split, (samples, people) in sizes.items()},
        inputs=inputs,
        totals=totals,
        tables=tables,
        associations=_associations(labels, dictionary, progress),
        images=list(_images(study, rows, progress)),
    )


def read_study_facts(study: Study, comparison: Comparison, data: DataFacts) -> StudyFacts:
    """Return what a study says of its data and of the runs of best sets.

    Parameters
    ----------
    comparison
        Of models of the study: whose runs are read.

    Raises
    ------
    TrainError
        Participants withdrew while a run could not be reached.
    """
    runs = _used_runs(study, comparison)
    settings, versions = _read_settings(runs)
    return StudyFacts(
        data=data,
        tested=_read_tested(study, comparison, runs),
        settings=settings,
        versions=versions,
        volumes=study.config.volumes,
        connectivity=study.config.connectivity,
        division=study.config.splits,
        is_synthetic=any(is_synthetic(source.path) for source in parse_sources(study)),
        privacy=_read_privacy(runs),
    )


def read_run_settings(study: Study, comparison: Comparison) -> dict[str, Mapping[str, Any]]:
    """Return the settings of the runs that are compared, by their names."""
    return _read_settings(_used_runs(study, comparison))[0]


def _used_runs(study: Study, comparison: Comparison) -> dict[str, RunDirectory]:
    reachable = {run.run_id: run for run in study_runs(study.layout).reachable}
    return {run_id: reachable[run_id] for run_id in runs_of(comparison.results) if run_id in reachable}


def _read_privacy(runs: Runs) -> dict[str, Level]:
    """Return what attacks on runs came to; a damaged file is passed over, for it can be made again."""
    found: dict[str, Level] = {}
    for name, run in runs.items():
        with suppress(OSError, DamagedTextError):
            found[name] = read_privacy(run.privacy).level
    return found


def _associations(labels: pl.DataFrame, dictionary: Dictionary, progress: Progress) -> list[Association]:
    kinds = {name: dictionary[name].kind for name in labels.columns if dictionary[name].kind in (BINARY, CONTINUOUS)}
    with progress("pairs of targets") as on_progress:
        return associations_of(labels, kinds, counting(len(kinds) * (len(kinds) - 1) // 2, on_progress))


def _training_rows(catalog: Connection, study: Study) -> dict[str, list[int]]:
    """Return the stored training scans of each modality, one of each participant."""
    first = set(first_visits(catalog)["row"])
    stored = stored_training_rows(catalog, _names_of_modalities(study))
    return {modality: sorted(first.intersection(of_modality)) for modality, of_modality in stored.items()}


def _names_of_modalities(study: Study) -> list[str]:
    return [*study.config.volumes.modalities, *(["connectivity"] if study.config.connectivity.enabled else [])]


def _modalities(catalog: Connection, study: Study) -> Iterator[InputFacts]:
    """Yield how many participants have each modality, and all of them."""
    names = _names_of_modalities(study)
    for name in names:
        yield InputFacts(name=name, told=modality_title(name, study.config), people=count_stored(catalog, [name]))
    yield InputFacts(name=ALL_MODALITIES, told="of the same visit", people=count_stored(catalog, names))


def _groups(dictionary: Dictionary) -> Iterator[InputFacts]:
    """Yield what each group of features has."""
    for block in block_names(dictionary):
        features = [name for name, definition in dictionary.items() if definition.block == block]
        more = f" and {len(features) - _MOST_FEATURES} more" if len(features) > _MOST_FEATURES else ""
        yield InputFacts(name=block, told=", ".join(features[:_MOST_FEATURES]) + more, people=None)


def _images(study: Study, rows: Mapping[str, list[int]], progress: Progress) -> Iterator[MeanImage]:
    """Yield the mean of each modality that enough participants have."""
    total = sum(min(len(of_modality), MOST_SAMPLES) for of_modality in rows.values())
    with progress("scans") as on_progress:
        on_read = counting(total, on_progress)
        for modality, of_modality in rows.items():
            picture = draw_mean(study, modality, of_modality, on_read) if of_modality else None
            if picture is not None:
                title = modality_title(modality, study.config)
                yield MeanImage(name=modality, title=title, num_samples=picture.num_samples, png=picture.png)


def _read_settings(runs: Runs) -> tuple[dict[str, Mapping[str, Any]], dict[str, list[str]]]:
    """Return the settings of runs, and the versions that they were made with."""
    settings: dict[str, Mapping[str, Any]] = {}
    versions: dict[str, list[str]] = {}
    for run_id, run in runs.items():
        recorded = read_json(run.config, dict[str, Any])
        settings[run_id] = recorded.get("train", {})
        for package, version in recorded.get("environment", {}).items():
            if version not in versions.setdefault(package, []):
                versions[package].append(version)
    return settings, versions


def _read_tested(study: Study, comparison: Comparison, runs: Runs) -> dict[tuple[str, str], TestedModel]:
    """Return what may be told of the predictions of best sets; of several runs of a model, of the first."""
    models = comparison.results.unique(OF_CONTENDER, keep="first", maintain_order=True)
    chosen = models.join(comparison.best, on=OF_CONTENDER, how="semi", maintain_order="left")
    wanted: dict[str, set[str]] = {}
    for run_id, target in chosen.select("run_id", "target").drop_nulls().iter_rows():
        wanted.setdefault(run_id, set()).add(target)
    found: dict[tuple[str, str], TestedModel] = {}
    for run_id, targets in wanted.items():
        if run_id in runs:
            require_cleaned(study.layout, runs[run_id])
            found |= {(run_id, name): model for name, model in _models_of(runs[run_id], targets)}
    return found


def _models_of(run: RunDirectory, targets: Collection[str]) -> Iterator[tuple[str, TestedModel]]:
    for target in read_targets(run, find_state(run)):
        if target.name in targets:
            yield target.name, tested_model(target)
