"""Predict from samples of the study: rows stream from its stores, which an ingest has filled once and for all."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mmbase.names import METADATA
from mmdata.study import Study
from mmstudy.dictionary import study_dictionary
from mmstudy.own_stores import ArrayKey, open_own_stores, store_attributes
from mmstudy.predict.checking import Expectation, check_features, check_stores, divide
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.inputs import WantedInputs, find_faults, has_features, lacking_inputs, missing_warnings
from mmstudy.predict.model_set import arrays_of, sample_bytes
from mmstudy.predict.predictor import InputBatch, Member, Predictor, combine
from mmstudy.predict.samples import LEARNT_FROM, Outcome, finish_all
from mmstudy.predict.stored_scans import check_stored_scans
from mmstudy.predict.study_samples import StoredSample, StoredSamples
from mmtrain.config.execution import ExecutionConfig
from mmtrain.data.stream import BatchRequest, Stores, stream_batches

_COPIES = 3
"""Of a batch between the stores and the network: as it is stored, as numbers, and as channels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredRules:
    """How samples of the study are predicted."""

    wanted: WantedInputs
    expectations: tuple[Expectation, ...]
    """What each model takes for granted."""
    connectivity: str
    """Name of the connectivity."""
    learnt_from: frozenset[str] = field(repr=False)
    """Samples that one of the models was trained on."""
    allowed: frozenset[str]
    batch_size: int


def stored_memory_bytes(rules: StoredRules, arrays: Collection[ArrayKey]) -> int:
    """Return the peak memory of batches that are read ahead and of one on its way to the network."""
    waiting = _COPIES * rules.batch_size * sample_bytes(arrays, rules.connectivity)
    return ExecutionConfig().prefetch_bytes + waiting


def predict_stored(
    study: Study,
    samples: StoredSamples,
    predictor: Predictor,
    rules: StoredRules,
    on_progress: Callable[[int, int], None],
) -> list[Outcome]:
    """Return what became of each sample, in their order.

    Raises
    ------
    StoreError
        An array does not exist, or a row that the catalogue calls stored is damaged.
    """
    outcomes, groups = _judge(samples, rules, _find_deviations(study, samples, rules))
    num_passes = len(predictor.members) * sum(map(len, groups.values()))
    done = 0
    on_progress(done, num_passes)
    for present, positions in groups.items():
        of_models = []
        for member in predictor.members:
            parts = []
            for part_BT in _stream_group(study, samples, positions, present, member, rules):
                parts.append(part_BT)
                done += len(part_BT)
                on_progress(done, num_passes)
            of_models.append(np.concatenate(parts))
        finish_all(outcomes, positions, *combine(of_models))
    return [outcomes[position] for position in range(len(samples.entries))]


def _judge(
    samples: StoredSamples, rules: StoredRules, deviations: Mapping[int, Sequence[Deviation]]
) -> tuple[dict[int, Outcome], dict[frozenset[str], list[int]]]:
    """Return what is known of each sample before it is predicted, and who can be, by the inputs that they have.

    Parameters
    ----------
    deviations
        Of the study's arrays and of the sample's scans, by its position.
    """
    outcomes: dict[int, Outcome] = {}
    groups: dict[frozenset[str], list[int]] = defaultdict(list)
    for position, one in enumerate(samples.entries):
        features = samples.features_of(position)
        present = _present(one, features, rules.wanted)
        found = [*deviations[position], *check_features(features, rules.expectations)]
        deviating, allowed = divide(found, rules.allowed)
        faults = (*find_faults(rules.wanted, present, one.rejected, features), *deviating)
        warnings = [] if faults else missing_warnings(rules.wanted, present, one.rejected, features)
        if one.sample.name in rules.learnt_from and not faults:
            warnings.append(LEARNT_FROM)
        outcomes[position] = Outcome(
            sample=one.sample,
            faults=faults,
            warnings=tuple(warnings),
            without=lacking_inputs(rules.wanted, present),
            allowed=allowed,
        )
        if not faults:
            groups[present].append(position)
    return outcomes, groups


def _stream_group(
    study: Study,
    samples: StoredSamples,
    positions: Sequence[int],
    present: Collection[str],
    member: Member,
    rules: StoredRules,
) -> Iterator[NDArray[np.float64]]:
    """Yield one model's predictions of samples that have the same inputs, batch by batch."""
    keys = [key for key in member.arrays if key[0] in present]
    where = np.asarray(positions, np.int64)
    rows = np.array([samples.entries[position].sample.row for position in positions], np.int64)
    starts = range(rules.batch_size, len(where), rules.batch_size)
    requests = [
        BatchRequest(positions=part, rows=rows_B, copies=np.zeros(len(part), np.int64))
        for part, rows_B in zip(np.split(where, starts), np.split(rows, starts), strict=True)
    ]
    names = rules.wanted.features if METADATA in present else None
    if not keys:
        for request in requests:
            yield member.predict(InputBatch({}, _features(samples, request, names)))
        return
    stores = _open(study, keys, member, rules)
    for batch in stream_batches(stores, requests, prefetch_bytes=ExecutionConfig().prefetch_bytes):
        arrays = {key: batch.stored[key[0]].numpy() for key in keys}
        yield member.predict(InputBatch(arrays, _features(samples, batch.request, names)))


def _open(study: Study, keys: Sequence[ArrayKey], member: Member, rules: StoredRules) -> Stores:
    modalities = [modality for modality, _ in keys]
    side = member.found.card.shape.side
    return open_own_stores(study, modalities, side=side, connectivity=rules.connectivity)


def _features(
    samples: StoredSamples, request: BatchRequest, names: Sequence[str] | None
) -> dict[str, NDArray[np.float64]] | None:
    if names is None:
        return None
    return {name: samples.columns[name][request.positions] for name in names}


def _present(one: StoredSample, features: Mapping[str, float], wanted: WantedInputs) -> frozenset[str]:
    """Return the inputs that a sample has, of those that the models take."""
    tabular = [METADATA] if METADATA in wanted.every and has_features(wanted, features) else []
    return frozenset([*one.stored.intersection(wanted.every), *tabular])


def _find_deviations(study: Study, samples: StoredSamples, rules: StoredRules) -> Mapping[int, Sequence[Deviation]]:
    """Return what is wrong with how the study makes its arrays and features, which is everybody's, and with scans."""
    dictionary = study_dictionary(study)
    of_stores = [
        deviation
        for one in rules.expectations
        for deviation in check_stores(
            store_attributes(study, arrays_of(one.model.card), rules.connectivity), dictionary, one
        )
    ]
    if any(one.name not in rules.allowed for one in of_stores):  # nobody is predicted
        return dict.fromkeys(range(len(samples.entries)), of_stores)
    of_scans = check_stored_scans(study, samples, rules.connectivity, rules.expectations)
    return {position: [*of_stores, *of_scans.get(position, ())] for position in range(len(samples.entries))}
