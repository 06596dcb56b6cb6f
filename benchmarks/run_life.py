"""The life of a run beside its training: seconds to plan, to begin and to enter it where many others are.

The study has the samples and features of a large cohort and arrays without a single volume: planning opens arrays and
reads none. Its runs are directories with metrics, as many as the reference study's models, and entered. Nothing is
trained: a run that begins is given metrics as training would write them, and entered.

Terms
-----
first          the first run of a question (target, inputs, samples): its labels and splits are audited.
later          the same question again in the same process, with one run more there.
new process    the same question again, as the next `mm train` asks it; the imports do not count.
replacement    to enter all runs on a copy of the catalogue, as an ingest does and every run did before.

``python -m benchmarks.run_life STUDY TARGET`` lives one run in a study made here and prints its seconds.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import duckdb
import numpy as np
import polars as pl

from catalog.audit.scope import BIRTH_YEAR, RECRUITMENT_AGE, SCAN_DATE
from catalog.database import open_catalog
from catalog.features import record_definitions
from catalog.fields import Dictionary
from catalog.runs import index_runs
from catalog.samples import enrol
from catalog.scans import record_outcomes, record_sources
from catalog.splits.schemes import StudySplit
from catalog.statements import insert_frame
from mmbase.records import EnrolledSample, ScanOutcome, Visit
from mmdata.ledger.receipts import record_samples
from mmdata.store.spec import ensure_array
from mmdata.study import Study, StudyConfig, create_study, load_study
from mmdata.study_arrays import array_specs, stored_modalities
from mmstudy.dictionary import study_dictionary
from mmstudy.runs.begin import begin_run
from mmstudy.runs.enter import enter_run
from mmstudy.runs.plan import plan_run

NUM_SAMPLES, NUM_RUNS = 20_000, 700
NUM_OWN_FEATURES = 160
"""Beside those of mm's own dictionary."""
QUESTIONS = ("age", "sex", "weight")
"""Targets, from all three volumes and metadata."""
LATER = 5
"""Runs of each question after its first in this process."""
STEPS = ("plan", "begin", "enter")
_FIRST_EID = 1_000_000
_Result = TypeVar("_Result")


def bench_run_life(folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Measure the life of runs; return what was measured, and the ratios."""
    study = make_study(folder / "study")
    seconds: dict[str, list[float]] = {}
    for number in range(1 + LATER):
        for target in QUESTIONS:
            _note(seconds, "later" if number else "first", live(study, target))
    for target in QUESTIONS:
        _note(seconds, "new process", _live_in_new_process(study, target))
        seconds.setdefault("enter, replacement", []).append(_timed(lambda: _enter_by_replacement(study))[1])
    medians = {name: median(taken) for name, taken in seconds.items()}
    measured = {
        "samples": NUM_SAMPLES,
        "features": len(study_dictionary(study)),
        "runs": NUM_RUNS,
        "catalogue_megabytes": round(study.layout.catalog.stat().st_size / 1e6, 1),
        "median_s": {name: round(value, 3) for name, value in medians.items()},
        "all_s": {name: [round(value, 3) for value in taken] for name, taken in seconds.items()},
    }
    ratios = {
        "run_life_plan_again_vs_first": round(medians["plan, first"] / medians["plan, later"], 2),
        "run_life_enter_vs_replacement": round(medians["enter, replacement"] / medians["enter, later"], 2),
    }
    return measured, ratios


def live(study: Study, target: str) -> dict[str, float]:
    """Plan, begin and enter one run as `mm train` does; return the seconds of each step."""
    given = {
        "inputs": ["flair", "t1", "dwi", "metadata"],
        "metadata_blocks": ["constitutional", "disease"],
        "augment": "none",
        "device": "cpu",
    }
    plan, planned = _timed(lambda: plan_run(study, [target], given, scheme=StudySplit()))
    run, begun = _timed(lambda: begin_run(study, plan))
    run.metrics.write_text(json.dumps(_metrics(target, plan.config.kind, plan.split_sizes)))
    _, entered = _timed(lambda: enter_run(study, run))
    return {"plan": planned, "begin": begun, "enter": entered}


def make_study(
    root: Path,
    num_samples: int = NUM_SAMPLES,
    num_runs: int = NUM_RUNS,
    *,
    config: StudyConfig | None = None,
    store_features: Callable[[duckdb.DuckDBPyConnection, Dictionary, int], None] | None = None,
) -> Study:
    """Make a study as an ingest would leave it, but for its volumes, and the directories of finished runs.

    Parameters
    ----------
    config
        None: the defaults, with many features.
    store_features
        Gives samples their values; None: any values, with none missing.
    """
    own = {f"own_{number}": {"kind": "continuous", "field": 25_000 + number} for number in range(NUM_OWN_FEATURES)}
    study = create_study(root, config or StudyConfig(features=own))
    dictionary = study_dictionary(study)
    visits = [Visit(_FIRST_EID + number, 2) for number in range(num_samples)]
    modalities = stored_modalities(study.config)
    for index in range(num_runs):
        _add_run(study, f"age_t1_20260101-{index:06}")
    with open_catalog(study.layout.catalog, writable=True) as catalog:
        samples = enrol(catalog, visits, salt=study.config.salt, val=0.1, test=0.1).samples
        record_sources(catalog, samples, [], modalities)
        record_outcomes(catalog, [_outcome(s, modality) for s in samples.values() for modality in modalities])
        record_definitions(catalog, dictionary)
        (store_features or _store_features)(catalog, dictionary, num_samples)
        index_runs(catalog, study.layout.runs)
    record_samples(study.layout.receipts, samples.values())
    for modality in modalities:
        for spec in array_specs(study, modality, num_samples):
            ensure_array(spec)
    return study


def _add_run(study: Study, run_id: str) -> None:
    run = study.layout.runs / run_id
    run.mkdir(parents=True)
    numbers = {"train": 16_000, "val": 2_000, "test": 2_000}
    (run / "metrics.json").write_text(json.dumps(_metrics("age", "regression", numbers)))


def _metrics(target: str, kind: str, numbers: dict[str, int]) -> dict[str, Any]:
    names = ("mae", "r2", "r") if kind == "regression" else ("balanced_accuracy", "auc", "f1", "precision", "recall")
    metrics = {split: dict.fromkeys(names, 0.5) for split in ("val", "test")}
    return {"target": target, "kind": kind, "inputs": ["t1"], "n": numbers, **metrics}


def _outcome(sample: EnrolledSample, modality: str) -> ScanOutcome:
    return ScanOutcome(
        sample_id=sample.sample_id, modality=modality, status="stored", reason="", detail="", measures={}
    )


def _store_features(catalog: duckdb.DuckDBPyConnection, dictionary: Dictionary, num_samples: int) -> None:
    """Give every sample a value of every feature: what it is does not matter for speed.

    Ages are left without the year of birth and the like, which the audit would compare them with.
    """
    rng = np.random.default_rng(3)
    for name, definition in dictionary.items():
        if name in (BIRTH_YEAR, RECRUITMENT_AGE, SCAN_DATE):
            continue
        values = rng.normal(60.0, 8.0, num_samples)
        if definition.kind == "binary":
            values = (values > 60).astype(float)
        elif definition.kind != "continuous":
            values = np.floor(values)
        frame = pl.DataFrame({"row": np.arange(num_samples), "value": values})
        insert_frame(
            catalog,
            f"INSERT INTO feature SELECT row, '{name}', value, {definition.fields[0]}, 2, 0 FROM incoming",
            frame,
        )


def _timed(work: Callable[[], _Result]) -> tuple[_Result, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def _note(seconds: dict[str, list[float]], when: str, taken: dict[str, float]) -> None:
    for step in STEPS:
        seconds.setdefault(f"{step}, {when}", []).append(taken[step])


def _live_in_new_process(study: Study, target: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.run_life", str(study.layout.root), target]
    taken: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return taken


def _enter_by_replacement(study: Study) -> None:
    with open_catalog(study.layout.catalog, writable=True) as catalog:
        catalog.execute("DELETE FROM metric; DELETE FROM run")
        index_runs(catalog, study.layout.runs)


if __name__ == "__main__":
    print(json.dumps(live(load_study(Path(sys.argv[1])), sys.argv[2])))
