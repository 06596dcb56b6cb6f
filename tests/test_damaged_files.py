"""Every reader of a file meets damage with one of our own errors, in one line, or reads what it can stand for.

A new reader is one line of `READERS`. Nothing that is read may hang, take a gigabyte, or raise an error of a library;
where the file has a checksum, what is read is what was written.
"""

import faulthandler
import gzip
import os
import random
import resource
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from catalog.audit.findings import Finding
from catalog.database import Connection, open_catalog, open_scratch
from catalog.participant_lists import read_test_list
from catalog.runs import index_runs
from catalog.splits.kinship import read_kinship
from catalog.tables.tables import WantedField, read_tables
from mmbase.checksums import CHECKSUMS, find_changed
from mmbase.errors import MmError
from mmbase.files import write_json
from mmbase.records import EnrolledSample, ScanCandidate, Visit
from mmdata.errors import ScanRejected
from mmdata.ledger import receipts
from mmdata.ledger.receipt_kinds import (
    CopyReceipt,
    ExportedGroup,
    OutputReceipt,
    RemovalReceipt,
    RunReceipt,
    ScanReceipt,
    SummaryReceipt,
    WithdrawalReceipt,
)
from mmdata.ledger.receipts import append_receipts
from mmdata.ledger.tombstones import read_removals, read_tombstones
from mmdata.readers.edges import read_edges
from mmdata.readers.image import read_image
from mmdata.readers.ukb import read_native
from mmdata.sources.edge_tables import find_edge_table
from mmdata.sources.walk import list_folder
from mmdata.store.array import open_array
from mmdata.store.chunks import shard_file
from mmdata.store.schema import AUGMENTED_DIMENSIONS, VOLUME_DIMENSIONS, StudyLayout
from mmdata.store.spec import ArraySpec, ensure_array
from mmdata.study import Study, StudyConfig, save_changes
from mmdata.volume.connectivity import parse_timeseries
from mmdata.volume.nifti import encode_volume
from mmdata.volume.settings import VolumeSettings
from mmstudy.audit_answers import keep_answer, read_answer
from mmstudy.dictionary import study_dictionary
from mmstudy.models.cohort_file import read_training_cohort, write_training_cohort
from mmstudy.models.training_cohort import TrainingCohort, edge_cohort, feature_cohort, volume_cohort
from mmstudy.results.read import read_run
from mmstudy.settings import create_study, load_study
from mmtrain.bundle import BundleDirectory
from mmtrain.bundles.golden import compute_outputs, draw_inputs, largest_differences, read_golden, write_golden
from mmtrain.bundles.results import Measured, Remark, SplitSize, TargetResults, ToldResults, read_results, write_results
from mmtrain.checkpoint import EpochPart, Progress, load_checkpoint, save_checkpoint, save_weights
from mmtrain.config.execution import ExecutionConfig
from mmtrain.config.run import parse_run_config
from mmtrain.data.cohort import read_cohort
from mmtrain.data.scaling import FeatureScaler
from mmtrain.loggers.mlflow import read_server_run
from mmtrain.models.card import write_card
from mmtrain.models.trained import load_model, model_of_card
from mmtrain.published.checkpoint import read_checkpoint as read_published
from mmtrain.run import RunDirectory, create_run, find_run, read_execution, write_execution
from mmtrain.targets.kinds import regression
from mmtrain.withdrawn import WithdrawnSamples, count_withdrawn, forget_withdrawn
from tests.damage import Damage, damage_bytes, damage_cells, damage_json, damage_lines, damage_toml
from tests.made_card import make_card
from tests.mmtrain.published.checkpoints import Described
from tests.mmtrain.published.checkpoints import save_checkpoint as save_published

EID = 1000223
NUM_DAMAGED, NUM_DAMAGED_IN_CAMPAIGN = 150, int(os.environ.get("MM_DAMAGED", "500"))
"""Copies of one file, each damaged in its own way: the second number counts the first; 4,000 to believe it."""
MORE_BYTES = 1 << 30
"""Of address space, beside what the process has when it has read the whole file once."""
PATIENCE_SECONDS = 300
KEPT_OPEN = ExitStack()
SIDE, NUM_ROWS = 8, 5
TRAIN = {"target": "age", "kind": "regression", "unit": "years", "inputs": ["t1"], "side": 64}
VALUES = np.random.default_rng(3).integers(1, 60_000, (NUM_ROWS, SIDE, SIDE, SIDE)).astype(np.uint16)
SAMPLES = [f"{i:016x}" for i in range(40)]
SPLITS = ["train"] * 26 + ["val"] * 7 + ["test"] * 7


def write_study(folder: Path) -> Path:
    """Write study.toml with every kind of setting."""
    config = StudyConfig(
        sources=("/data/ukb", "bids:/data/b"),
        tables=("/data/t.csv",),
        train={"side": 64, "epochs": 3, "inputs": ["t1", "metadata"], "metadata_blocks": ["serology"]},
        features={"LDL2": {"kind": "continuous", "field": 30780, "block": "serology", "plausible": [0.1, 20.0]}},
    )
    return create_study(folder / "study", config).layout.config


def read_study(path: Path) -> Any:
    study = load_study(path.parent)
    save_changes(study)
    return study, study_dictionary(study)


def write_receipts(name: str, folder: Path) -> Path:
    written: dict[str, list[Any]] = {
        receipts.SAMPLE_RECEIPTS: [EnrolledSample(sample_id=s, row=i, split="val") for i, s in enumerate(SAMPLES[:4])],
        receipts.SCAN_RECEIPTS: [
            ScanReceipt(
                sample_id=SAMPLES[i],
                row=i,
                modality="t1",
                checksums={"64": "0af", "32": "0ae"},
                status="stored",
                measures={"brain_ml": 1100.5, "median": float("nan")},
                provenance={"brain": "source"},
            )
            for i in range(3)
        ],
        receipts.COPY_RECEIPTS: [CopyReceipt(modality="t1", side=32, copy=c, rows=[0, 1, 7]) for c in (1, 2)],
        receipts.WITHDRAWAL_RECEIPTS: [
            WithdrawalReceipt(participant_key=f"k{i}", date="2026-01-02", removal=1, rows=[i, 9]) for i in range(3)
        ],
        receipts.REMOVAL_RECEIPTS: [
            RemovalReceipt(
                removal=i, status="begun", date="", participants=1, known=1, samples=2, places={"t1": 2}, runs=["a_1"]
            )
            for i in (1, 2)
        ],
        receipts.OUTPUT_RECEIPTS: [OutputReceipt(path=f"/home/qc-{i}.html", date="2026-01-02") for i in (1, 2)],
        receipts.SUMMARY_RECEIPTS: [
            SummaryReceipt(
                kind="bundle",
                run_id=f"age_{i}",
                date="2026-01-02",
                groups=[ExportedGroup(target="age", split="test", people=50, by="sex", group="male")],
            )
            for i in (1, 2)
        ],
        receipts.RUN_RECEIPTS: [
            RunReceipt(run_id=f"age_{i}", folder="/scratch/runs", date="2026-01-02", withdrawn_rows=[i]) for i in (1, 2)
        ],
    }
    append_receipts(folder / name, written[name])
    return folder / name


def read_receipts(path: Path) -> Any:
    return {
        receipts.SAMPLE_RECEIPTS: receipts.read_samples,
        receipts.SCAN_RECEIPTS: receipts.read_scan_receipts,
        receipts.COPY_RECEIPTS: receipts.read_copy_receipts,
        receipts.WITHDRAWAL_RECEIPTS: read_tombstones,
        receipts.REMOVAL_RECEIPTS: read_removals,
        receipts.OUTPUT_RECEIPTS: receipts.read_outputs,
        receipts.RUN_RECEIPTS: receipts.read_run_receipts,
        receipts.SUMMARY_RECEIPTS: receipts.read_summaries,
    }[path.name](path.parent)


MLFLOW = "http://host:5000"


def make_run(folder: Path) -> RunDirectory:
    """Make a run with everything but its model."""
    run = create_run(folder / "runs", parse_run_config(TRAIN))
    write_execution(run, ExecutionConfig())
    write_json(run.mlflow, {"uri": MLFLOW, "run_id": "a1"})
    scores = {"mae": 3.5, "r2": 0.5, "r": None}
    sizes = {"train": 26, "val": 7, "test": 7}
    write_json(
        run.metrics,
        {
            **{"target": "age", "kind": "regression", "inputs": ["t1"], "n": sizes, "val": scores, "test": scores},
            **{"intervals": {"test": {"mae": [3.0, 4.0], "r": None}}, "losses": {"val": 0.5}, "minutes": 1.5},
        },
    )
    write_json(run.withdrawn, {"date": "2026-01-02", "cohort": sizes, "withdrawn": dict.fromkeys(sizes, 0)})
    ages = np.random.default_rng(1).normal(60, 8, len(SAMPLES))
    table = {"sample_id": SAMPLES, "row": range(len(SAMPLES)), "split": SPLITS, "target": ages}
    more = {"weight": 1.0, "augmented": [split == "train" for split in SPLITS], "feature_LDL": [None, *ages[1:]]}
    more |= {"participant": range(len(SAMPLES)), "group_age": ages}
    pl.DataFrame({**table, **more}).write_parquet(run.cohort)
    pl.DataFrame({"sample_id": SAMPLES, "split": SPLITS, "truth": ages, "prediction": ages}).write_parquet(
        run.predictions
    )
    return run


def write_run_file(name: str, folder: Path) -> Path:
    return make_run(folder).path / name


def index(path: Path) -> Any:
    if index_runs(an_empty_catalogue(), path.parents[1]):
        raise MmError("The run is not entered.")
    return an_empty_catalogue().execute("FROM metrics ORDER BY ALL").fetchall()


def read_result(path: Path) -> Any:
    study = Study(StudyLayout(path.parents[2]), StudyConfig())
    return read_run(study, path.parent.name)


@cache
def an_empty_catalogue() -> Connection:
    """Return one that stays open until the process ends."""
    return KEPT_OPEN.enter_context(open_scratch(Path("/nowhere/catalog.duckdb")))


def withdraw(path: Path) -> Any:
    """Look for somebody in a run, and take somebody else out, as far as it goes."""
    run = RunDirectory(path.parent)
    found = count_withdrawn(run, WithdrawnSamples(rows=[3], sample_ids=SAMPLES[3:4]))
    forget_withdrawn(run, WithdrawnSamples(rows=[99], sample_ids=["f" * 16]), "2026-01-02")
    return found


def mark(path: Path) -> Any:
    """Take somebody out of a run that is marked already."""
    run = RunDirectory(path.parent)
    cohort = pl.read_parquet(run.cohort)
    forget_withdrawn(run, WithdrawnSamples(rows=[3], sample_ids=[]), "2026-01-02")
    cohort.write_parquet(run.cohort)


CARD = make_card(
    "linear",
    volumes=("t1",),
    side=4,
    num_edges=3,
    features=FeatureScaler(("LDL",), (3.5,), (0.75,), (True,)),
    kinds={"age": regression.Kind(40.5, 80.25)},
    stores={"t1": {"affine_ras": np.eye(4).tolist()}},
    trained_on={"n": {"train": 3}, "seed": 7},
    versions={"mm": "1"},
)


def write_model(name: str, folder: Path) -> Path:
    write_card(folder / "model.json", CARD)
    model = model_of_card(CARD, torch.device("cpu"), torch.float32)
    save_weights(folder / "model.safetensors", model.network)
    return folder / name


def write_golden_examples(name: str, folder: Path) -> Path:
    write_model("model.json", folder)
    bundle = BundleDirectory(folder)
    (folder / "golden").mkdir()
    inputs = draw_inputs(CARD)
    write_golden(bundle, inputs, compute_outputs(load_model(folder), inputs))
    if name == "outputs.json":  # with checksums no damage would come as far as its reader
        (folder / "golden" / CHECKSUMS).unlink()
    return folder / "golden" / name


def read_golden_examples(path: Path) -> Any:
    inputs, outputs = read_golden(BundleDirectory(path.parents[1]))
    return largest_differences(outputs, load_model(path.parents[1]).predict(**inputs.of_side(CARD.shape.side)))


def write_told_results(folder: Path) -> Path:
    measured = {"mae": Measured(value=3.5, low=3.0, high=4.0)}
    told = ToldResults(
        headline="Believe it",
        remarks=[Remark(level="note", title="Few", meaning="Forty.")],
        assurances=[],
        cohort={"train": SplitSize(samples="60", participants="<10")},
        age_years={"0.5": 63.0},
        targets=[TargetResults(name="age", unit="years", metrics={"test": measured}, baseline={"mae": 7.0}, groups=[])],
    )
    write_results(folder / "results.json", told)
    (folder / CHECKSUMS).unlink()
    return folder / "results.json"


def read_checksums(path: Path) -> Any:
    if changed := find_changed(path.parent):
        raise MmError(f"{changed} are not as they were written.")
    return load_model(path.parent).card


def read_model(path: Path) -> Any:
    model = load_model(path.parent)
    return model.card.shape, {name: tensor.shape for name, tensor in model.network.state_dict().items()}


def small_model() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model(torch.ones(4, 3)).square().sum().backward()
    optimizer.step()
    return model, optimizer


def write_description(folder: Path) -> Path:
    """Write what twelve people who were trained on have in common; its checksum is in the file."""
    path, rng = folder / "cohort.safetensors", np.random.default_rng(4)
    volumes = volume_cohort(rng.uniform(0, 1, (12, SIDE, SIDE, SIDE)), VolumeSettings().grid(SIDE))
    ages = feature_cohort(rng.uniform(45, 82, 50))
    assert volumes is not None
    assert ages is not None
    edges = edge_cohort(rng.normal(size=(12, 10)))
    write_training_cohort(path, TrainingCohort(volumes={"t1": volumes}, edges=edges, features={"age": ages}))
    (folder / "checksums.jsonl").unlink()
    return path


def read_what_is_common(path: Path) -> Any:
    found = read_training_cohort(path)
    assert found.edges is not None
    volumes = found.volumes["t1"]
    arrays = [volumes.mean_XYZ, volumes.deviation_XYZ, volumes.cdf_H, found.edges.mean_E]
    return found.features, found.edges.usual, volumes.usual, volumes.grid, [array.tobytes() for array in arrays]


def write_checkpoint(folder: Path) -> Path:
    progress = Progress(epoch=3, part=EpochPart(steps=5), best_epoch=2, history=[{"epoch": 1, "val": {"mae": 1 / 3}}])
    save_checkpoint(folder / "last.safetensors", *small_model(), progress)
    return folder / "last.safetensors"


def read_checkpoint(path: Path) -> Any:
    model, optimizer = small_model()
    progress = load_checkpoint(path, model, optimizer)
    moments = optimizer.state_dict()["state"]
    return progress, *(tensor.tolist() for tensor in model.state_dict().values()), str(moments)


def write_published(folder: Path) -> Path:
    save_published(folder / "best.pt", Described(edges=3, columns=2))
    return folder / "best.pt"


def read_published_weights(path: Path) -> Any:
    found = read_published(path)
    return found.epoch, found.curves, *(tensor.numpy().tobytes() for tensor in found.tensors.values())


def write_array(name: str, folder: Path, *, copies: int = 0) -> Path:
    layout = StudyLayout(folder)
    path = layout.augmented_array("t1", SIDE) if copies else layout.volume_array("t1", SIDE)
    spec = ArraySpec(
        path=path,
        shape=(*([copies] * bool(copies)), NUM_ROWS, SIDE, SIDE, SIDE),
        row_axis=int(bool(copies)),
        rows_per_shard=NUM_ROWS,
        dtype="uint16",
        codec="zstd",
        dimensions=AUGMENTED_DIMENSIONS if copies else VOLUME_DIMENSIONS,
        attributes={"affine_ras": np.eye(4).tolist(), "intensity": {"scale": 1 / 65535, "offset": 0.0}},
    )
    ensure_array(spec)
    for copy in range(copies) if copies else [None]:
        open_array(path).write_shard(0, VALUES, copy=copy)
    return path / "zarr.json" if name == "zarr.json" else shard_file(path, 0, 3)


def read_array(path: Path) -> Any:
    folder = next(parent for parent in path.parents if parent.name == str(SIDE))
    array = open_array(folder)
    copies = [()] if array.row_axis == 0 else [(0,)]
    wanted, damaged = array.check_rows([1, 3], copy=0 if array.row_axis else None)
    assert damaged or (wanted == VALUES[[1, 3]]).all() or path.name == "zarr.json"
    return array.read_rows([(*copies[0], row) for row in (3, 0)]).tolist()


def write_catalog(folder: Path) -> Path:
    with open_catalog(folder / "catalog.duckdb", writable=True) as connection:
        connection.execute(
            "INSERT INTO participant (participant_key, eid) SELECT 'k' || i, 1000000 + i FROM range(3000) t(i)"
        )
    return folder / "catalog.duckdb"


def read_catalog(path: Path) -> Any:
    with open_catalog(path) as connection:
        return connection.execute("SELECT sum(eid), max(participant_key), count(*) FROM participant").fetchall()


def write_edges(folder: Path) -> Path:
    np.save(folder / "edges.npy", np.arange(60, dtype=np.float32).reshape(6, 10))
    (folder / "ids.txt").write_text("".join(f"{EID + i}\n" for i in range(6)))
    return folder / "edges.npy"


def read_edge_table(path: Path) -> Any:
    table = find_edge_table(list_folder(path.parent, path.parent))
    edges = ScanCandidate(visit=Visit(EID, 2), modality="connectivity", path=path, form="edges", table_row=4)
    return table, read_edges(edges, 5).shape if path.name == "edges.npy" else None


def write_ids(name: str, folder: Path) -> Path:
    path = write_edges(folder)
    if name == "ids.npy":
        path.with_name("ids.txt").unlink()
        np.save(path.with_name(name), np.arange(EID, EID + 6))
    return path.with_name(name)


def write_answer(folder: Path) -> Path:
    finding = Finding(
        code="x", severity="note", subject="s", message="m", remedy="r", num_samples=3, numbers={"a": 1, "b": 0.5}
    )
    keep_answer(StudyLayout(folder), {"q": 1}, [finding], [])
    return next((folder / "audits").iterdir())


def read_kept_answer(path: Path) -> Any:
    if (answer := read_answer(StudyLayout(path.parents[1]), {"q": 1})) is None:
        raise MmError("The answer is worked out again.")
    return answer


def written(name: str, content: bytes, folder: Path) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


TABLE = f"eid,31-0.0,53-2.0,21003-2.0\n{EID},0,2019-05-01,63\n{EID + 1},1,,\n".encode()
KINSHIP = f"ID1 ID2 HetHet IBS0 Kinship\n{EID} {EID + 1} 0.1 0.0 0.25\n{EID} {EID + 2} 0.1 0.0 0.06\n".encode()
IMAGE = encode_volume(VALUES[0].astype(np.int16), np.diag([2.0, 2.0, 2.0, 1.0]), np.int16)
MATRIX = b"1 0 0 3.5  \n0 1 0 0  \n0 0 1 0  \n0 0 0 1  \n"
ITK = (
    b"#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
    b"Parameters: 1 0 0 0 1 0 0 0 1 1.5 2 3\nFixedParameters: 0 0 0\n"
)
SERIES = gzip.compress(
    "\n".join(
        [
            "name," + ",".join(f"t{i}" for i in range(60)),
            *(f"R{r}," + ",".join(f"{(r + 1) * i % 7}.5" for i in range(60)) for r in range(4)),
        ]
    ).encode(),
    mtime=0,
)


def read_table(path: Path) -> Any:
    fields = {31: WantedField(), 53: WantedField(is_date=True), 21003: WantedField()}
    values = read_tables([path], fields, {}, pl.Series([EID, EID + 1]))
    return [values.of_field(field).rows() for field in fields]


def read_image_of(path: Path, **more: Path) -> Any:
    scan = ScanCandidate(visit=Visit(EID, 2), modality="t1", path=path, form="image", **more)
    native = read_image(scan, "MNI152-linear")
    return native.volume.data_XYZ.tolist()


def write_transform(name: str, content: bytes, folder: Path) -> Path:
    written("image.nii.gz", IMAGE, folder)
    return written(name, content, folder)


def read_transform(path: Path) -> Any:
    return read_image_of(path.with_name("image.nii.gz"), transform_path=path)


def read_mask(path: Path) -> Any:
    return read_image_of(path.with_name("image.nii.gz"), mask_path=path)


def write_bundle(folder: Path) -> Path:
    with zipfile.ZipFile(folder / f"{EID}_20252_2_0.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("T1/T1_unbiased_brain.nii.gz", IMAGE)
        archive.writestr("T1/transforms/T1_to_MNI_linear.mat", MATRIX)
    return folder / f"{EID}_20252_2_0.zip"


def read_bundle(path: Path) -> Any:
    scan = ScanCandidate(visit=Visit(EID, 2), modality="t1", path=path)
    return read_native(scan, VolumeSettings()).volume.data_XYZ.tolist()


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How a file is made whole, how it is damaged beside its bytes, and how it is read."""

    write: Callable[[Path], Path]
    read: Callable[[Path], Any]
    damage: Damage = damage_bytes
    is_checked: bool = False
    """Whether it has a checksum, so that what is read is right."""


def receipt_reader(name: str) -> Reader:
    return Reader(write=partial(write_receipts, name), read=read_receipts, damage=damage_lines)


READERS: Mapping[str, Reader] = {
    "study.toml": Reader(write=write_study, read=read_study, damage=damage_toml),
    **{name: receipt_reader(name) for name in receipts._SHAPES},
    "config.json": Reader(
        write=partial(write_run_file, "config.json"),
        read=lambda path: find_run(path.parents[1], path.parent.name),
        damage=damage_json,
    ),
    "execution.json": Reader(
        write=partial(write_run_file, "execution.json"),
        read=lambda path: read_execution(RunDirectory(path.parent)),
        damage=damage_json,
    ),
    "mlflow.json": Reader(
        write=partial(write_run_file, "mlflow.json"),
        read=lambda path: read_server_run(RunDirectory(path.parent), MLFLOW),
        damage=damage_json,
    ),
    "metrics.json": Reader(write=partial(write_run_file, "metrics.json"), read=index, damage=damage_json),
    "metrics.json, in a list of runs": Reader(
        write=partial(write_run_file, "metrics.json"), read=read_result, damage=damage_json
    ),
    "withdrawn.json": Reader(write=partial(write_run_file, "withdrawn.json"), read=index, damage=damage_json),
    "withdrawn.json, again": Reader(write=partial(write_run_file, "withdrawn.json"), read=mark, damage=damage_json),
    "cohort.parquet": Reader(write=partial(write_run_file, "cohort.parquet"), read=read_cohort),
    "cohort.parquet, again": Reader(write=partial(write_run_file, "cohort.parquet"), read=withdraw),
    "predictions.parquet": Reader(write=partial(write_run_file, "predictions.parquet"), read=withdraw),
    "model.json": Reader(write=partial(write_model, "model.json"), read=read_model, damage=damage_json),
    "model.safetensors": Reader(write=partial(write_model, "model.safetensors"), read=read_model),
    "golden/inputs.safetensors": Reader(
        write=partial(write_golden_examples, "inputs.safetensors"), read=read_golden_examples, is_checked=True
    ),
    "golden/outputs.json": Reader(
        write=partial(write_golden_examples, "outputs.json"), read=read_golden_examples, damage=damage_json
    ),
    "results.json": Reader(write=write_told_results, read=read_results, damage=damage_json),
    "cohort.safetensors": Reader(write=write_description, read=read_what_is_common, is_checked=True),
    "checksums.jsonl": Reader(write=partial(write_model, "checksums.jsonl"), read=read_checksums, damage=damage_lines),
    "checkpoint": Reader(write=write_checkpoint, read=read_checkpoint, is_checked=True),
    "published checkpoint": Reader(write=write_published, read=read_published_weights, is_checked=True),
    "zarr.json": Reader(write=partial(write_array, "zarr.json"), read=read_array, damage=damage_json),
    "zarr.json of copies": Reader(
        write=partial(write_array, "zarr.json", copies=2), read=read_array, damage=damage_json
    ),
    "shard": Reader(write=partial(write_array, "shard"), read=read_array, is_checked=True),
    "catalog.duckdb": Reader(write=write_catalog, read=read_catalog, is_checked=True),
    "answer of an audit": Reader(write=write_answer, read=read_kept_answer, damage=damage_json),
    "edges.npy": Reader(write=write_edges, read=read_edge_table),
    "ids.npy": Reader(write=partial(write_ids, "ids.npy"), read=read_edge_table),
    "ids.txt": Reader(write=partial(write_ids, "ids.txt"), read=read_edge_table, damage=damage_cells),
    "table": Reader(write=partial(written, "table.csv", TABLE), read=read_table, damage=damage_cells),
    "kinship": Reader(write=partial(written, "rel.dat", KINSHIP), read=read_kinship, damage=damage_cells),
    "test list": Reader(
        write=partial(written, "test.txt", f"eid\n{EID}\n{EID + 1}\n".encode()),
        read=read_test_list,
        damage=damage_cells,
    ),
    "image.nii.gz": Reader(write=partial(written, "image.nii.gz", IMAGE), read=read_image_of, is_checked=True),
    "image.nii": Reader(write=partial(written, "image.nii", gzip.decompress(IMAGE)), read=read_image_of),
    "mask.nii.gz": Reader(write=partial(write_transform, "mask.nii.gz", IMAGE), read=read_mask),
    "FLIRT's matrix": Reader(write=partial(write_transform, "x.mat", MATRIX), read=read_transform, damage=damage_cells),
    "ITK's transform": Reader(write=partial(write_transform, "x.txt", ITK), read=read_transform, damage=damage_cells),
    "time series": Reader(
        write=partial(written, "series.csv.gz", SERIES),
        read=lambda path: parse_timeseries(path.read_bytes(), 4).tolist(),
        is_checked=True,
    ),
    "archive": Reader(write=write_bundle, read=read_bundle, is_checked=True),
}


@pytest.mark.parametrize("name", READERS)
def test_damage_is_told_in_one_line_of_our_own(tmp_path: Path, name: str) -> None:
    read_damaged(READERS[name], tmp_path, range(NUM_DAMAGED))


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_damage_of_many_more_kinds_is_told_in_one_line_of_our_own(tmp_path: Path, name: str) -> None:
    read_damaged(READERS[name], tmp_path, range(NUM_DAMAGED, NUM_DAMAGED_IN_CAMPAIGN))


def read_damaged(reader: Reader, folder: Path, seeds: range) -> None:
    """Read a file in many states; each is told by its seed."""
    path = reader.write(folder)
    whole, expected = path.read_bytes(), repr(reader.read(path))
    num_refused = 0
    with limited():
        for seed in seeds:
            rng = random.Random(seed)
            damaged = rng.choice([damage_bytes, reader.damage])(whole, rng)
            path.write_bytes(damaged)
            try:
                found = repr(reader.read(path))
            except (MmError, ScanRejected) as error:
                num_refused += 1
                told = str(error)
                assert "\n" not in told and len(told) < 1500, (seed, told[:3000])
                assert str(EID) not in told, seed
            except BaseException as error:
                raise AssertionError(f"{type(error).__name__} at seed {seed}: {damaged[:300]!r}") from error
            else:
                assert not reader.is_checked or found == expected, seed
    assert num_refused > len(seeds) / 10


@contextmanager
def limited() -> Iterator[None]:
    """Let a block have only `MORE_BYTES` more than now, and end the process where it hangs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MORE_BYTES, hard))
    faulthandler.dump_traceback_later(PATIENCE_SECONDS, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
