"""`mm explain` on trained runs of the study, from the command line."""

import errno
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import polars as pl
import pytest
import torch
from matplotlib.image import imread

import mmstudy.explain.files
from catalog.database import open_catalog
from catalog.statements import fetch_frame
from mmbase.files import write_bytes
from mmcli.failures import DISK_IS_FULL
from mmdata.errors import StudyError
from mmdata.ledger.receipts import read_outputs
from mmdata.store.schema import StudyLayout
from mmdata.study import load_study
from mmstudy.explain.people import one_sample
from mmstudy.explain.reading import in_ras, mean_edges, stream_inputs
from mmstudy.models.contract import write_contract
from mmstudy.models.find import FoundModel, find_model
from mmtrain.bundle import BundleDirectory
from mmtrain.explain.attribution import Attribution
from mmtrain.explain.explainer import Explainer
from tests.conftest import RunMm
from tests.mmcli.conftest import SMALL_TRAINING
from tests.mmcli.outcome import complaint, complaint_last

FAST = ("--split", "train", "--steps", 4, "--device", "cpu")


@dataclass(frozen=True)
class Explaining:
    """A study with a run, and how it is explained."""

    root: Path
    run: str
    run_mm: RunMm

    def explain(self, output: Path, *words: object, run: str = "") -> Any:
        return self.run_mm("--study", self.root, "explain", run or self.run, "--output", output, *words)

    def written(self, output: Path, *words: object, run: str = "") -> dict[str, Any]:
        """Explain, and return what --json says."""
        result = self.explain(output, *words, "--json", run=run)
        assert result.exit_code == 0, result.output
        content: dict[str, Any] = json.loads(result.stdout)
        return content

    def train(self, *words: object) -> str:
        result = self.run_mm("--study", self.root, "train", "--target", "age", *words, "--json")
        assert result.exit_code == 0, result.output
        return str(json.loads(result.stdout)["run_id"])

    def find(self) -> FoundModel:
        return find_model(load_study(self.root), self.run)

    def samples(self, sql: str) -> list[str]:
        with open_catalog(StudyLayout(self.root).catalog) as catalog:
            return fetch_frame(catalog, sql)["sample_id"].to_list()

    def complete_sample(self) -> str:
        stored = "SELECT sample_id FROM scans WHERE status = 'stored' AND modality IN ('t1', 'connectivity')"
        return self.samples(f"{stored} GROUP BY sample_id HAVING count(*) = 2 ORDER BY sample_id")[0]


@pytest.fixture(scope="module")
def explaining(copy: Path, run_mm: RunMm, tmp_path_factory: pytest.TempPathFactory) -> Explaining:
    root = Path(shutil.copytree(copy, tmp_path_factory.mktemp("explain") / "study"))
    inputs = ("--inputs", "t1,connectivity,metadata", "--metadata-block", "serology")
    run = Explaining(root, "", run_mm).train(*inputs, *SMALL_TRAINING[2:])
    return Explaining(root, run, run_mm)


@pytest.fixture
def made(explaining: Explaining, tmp_path: Path) -> Path:
    """The folder of one sample that was explained."""
    explaining.written(tmp_path / "one", "--sample", explaining.complete_sample(), "--device", "cpu")
    return tmp_path / "one"


def image(path: Path) -> Any:
    return nib.load(path)


def test_means_over_people_are_maps_pictures_and_rankings_of_nobody(explaining: Explaining, tmp_path: Path) -> None:
    content = explaining.written(tmp_path / "out", *FAST)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(content["files"])
    expected = {"t1_brain.nii.gz", "t1_all_mean.nii.gz", "t1_all_mean-absolute.nii.gz", "t1_all.png"}
    tables = {f"{what}{end}" for what in ("inputs", "features", "regions") for end in (".csv", ".png")}
    assert expected | tables | {"explanation.json"} <= set(content["files"])
    assert content["num_people"] >= 10 and all(num >= 10 for num in content["groups"].values())
    assert content["unit"] == "years" and content["completeness"]["error"] < 0.2
    mean, size = (image(tmp_path / "out" / f"t1_all_{name}.nii.gz") for name in ("mean", "mean-absolute"))
    assert mean.affine.tolist() == explaining.find().card.stores["t1"]["affine_ras"]
    assert (np.abs(mean.get_fdata()) <= size.get_fdata() + 1e-6).all() and size.get_fdata().any()
    regions = pl.read_csv(tmp_path / "out" / "regions.csv")
    assert regions.height == 360 and regions["mean_absolute"].is_sorted(descending=True)
    assert (regions["low"] <= regions["mean_absolute"]).all() and (regions["mean_absolute"] <= regions["high"]).all()
    everybody = explaining.samples("SELECT sample_id FROM samples")
    told = "".join((tmp_path / "out" / name).read_text() for name in content["files"] if name.endswith(("json", "csv")))
    assert not [name for name in everybody if name in told]
    assert read_outputs(StudyLayout(explaining.root).receipts) == []
    assert all(imread(tmp_path / "out" / name).ndim == 3 for name in content["files"] if name.endswith("png"))


def test_the_parts_of_one_sample_add_up_to_what_the_model_predicts(explaining: Explaining, made: Path) -> None:
    told = json.loads((made / "explanation.json").read_text())
    tables = [pl.read_csv(made / f"{name}.csv")["attribution"].sum() for name in ("regions", "features")]
    whole = image(made / "t1_attribution.nii.gz").get_fdata().sum() + sum(tables)
    difference = told["output"] - told["baseline_output"]
    assert whole == pytest.approx(difference, abs=1e-3 + told["completeness"]["error"] * abs(difference) * 1.01)
    study, model = load_study(explaining.root), explaining.find()
    people = one_sample(study, model.card, told["sample_id"])
    loaded = model.load(torch.device("cpu"))
    ((inputs,),) = ([part] for part in stream_inputs(study, model, loaded, people, 1))
    outputs = loaded.network(*inputs.given).detach().double().numpy()
    assert told["output"] == pytest.approx(loaded.card.fitted.predictions(outputs)[0, 0], abs=1e-4)


def test_the_files_of_one_sample_are_private_and_on_record(explaining: Explaining, made: Path) -> None:
    paths = sorted(made.iterdir())
    assert made.stat().st_mode & 0o777 == 0o700 and all(path.stat().st_mode & 0o777 == 0o600 for path in paths)
    assert set(map(str, paths)) <= set(read_outputs(StudyLayout(explaining.root).receipts))
    shutil.rmtree(made)


def test_a_bundle_is_explained_with_samples_of_the_study_as_the_run_is(
    explaining: Explaining, made: Path, tmp_path: Path
) -> None:
    model, bundle = explaining.find(), BundleDirectory(tmp_path / "bundle")
    bundle.path.mkdir()
    for name in ("model.safetensors", "model.json"):
        shutil.copy(model.path / name, bundle.path / name)
    write_contract(bundle.contract, model.contract)
    words = ("--sample", explaining.complete_sample(), "--device", "cpu")
    explaining.written(tmp_path / "other", *words, run=str(bundle.path))
    one, other = (image(folder / "t1_attribution.nii.gz").get_fdata() for folder in (made, tmp_path / "other"))
    assert np.array_equal(one, other)
    content = explaining.written(tmp_path / "means", *FAST, "--edges-baseline", "zero", run=str(bundle.path))
    assert content["num_people"] >= 10 and content["model"] == "bundle"


def test_a_model_whose_volumes_run_from_right_to_left_gets_them_so(explaining: Explaining) -> None:
    study, model = load_study(explaining.root), explaining.find()
    loaded = model.load(torch.device("cpu"))
    people = one_sample(study, model.card, explaining.complete_sample())
    affine = np.asarray(model.card.stores["t1"]["affine_ras"])
    turned = affine @ np.array([[-1, 0, 0, 31], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    stores = {**model.card.stores, "t1": {**model.card.stores["t1"], "affine_ras": turned.tolist()}}
    other = replace(model, card=replace(model.card, stores=stores))
    (plain,), (flipped,) = (list(stream_inputs(study, each, loaded, people, 1)) for each in (model, other))
    assert plain.volumes_BCXYZ is not None and flipped.volumes_BCXYZ is not None
    assert torch.equal(flipped.volumes_BCXYZ, plain.volumes_BCXYZ.flip(2))
    assert not torch.equal(flipped.volumes_BCXYZ, plain.volumes_BCXYZ)
    back, affine_of_back = in_ras(flipped.volumes_BCXYZ[0, 0].numpy(), turned)
    assert np.array_equal(back, plain.volumes_BCXYZ[0, 0].numpy()) and np.allclose(affine_of_back, affine)


def test_edges_may_be_compared_with_their_mean_over_training(explaining: Explaining, tmp_path: Path) -> None:
    content = explaining.written(tmp_path / "out", *FAST, "--edges-baseline", "mean")
    assert content["baseline"]["connectivity"] == "mean of the training split"
    study, model = load_study(explaining.root), explaining.find()
    people = [one_sample(study, model.card, explaining.complete_sample()) for _ in range(2)]
    rows = np.concatenate([part.rows for part in people])
    (one,) = stream_inputs(study, model, model.load(torch.device("cpu")), people[0], 1)
    assert one.edges_BE is not None
    np.testing.assert_allclose(mean_edges(study, model, rows), one.edges_BE[0].numpy(), atol=1e-6)


def refused(explaining: Explaining, output: Path, *words: object, run: str = "") -> str:
    result = explaining.explain(output, *words, run=run)
    assert not (output.exists() and any(path.suffix == ".gz" for path in output.iterdir()))
    return complaint_last(result)


def test_what_cannot_be_explained_is_refused_with_what_to_do(explaining: Explaining, tmp_path: Path) -> None:
    out = tmp_path / "out"
    lacking = explaining.samples(
        "SELECT sample_id FROM samples WHERE sample_id NOT IN "
        "(SELECT sample_id FROM scans WHERE modality = 't1' AND status = 'stored') ORDER BY sample_id"
    )[0]
    assert "has no sample of this id" in refused(explaining, out, "--sample", "0" * 16)
    assert "has no t1" in refused(explaining, out, "--sample", lacking)
    assert "at least 10 people" in refused(explaining, out, "--split", "test")
    assert "Expected one of the model's targets, age, got sex" in refused(explaining, out, "--target", "sex")
    assert "There is no model 'nothing'" in refused(explaining, out, run="nothing")
    assert complaint(explaining.explain(out, "--method", "saliency"), exit_code=2)
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    assert "folder is not empty" in refused(explaining, full)
    assert "file of this name" in complaint(explaining.explain(full / "notes.txt"))
    assert not out.exists()


def test_unfinished_runs_and_wiring_checks_are_refused(explaining: Explaining, tmp_path: Path) -> None:
    words = ("train", "--target", "age", *SMALL_TRAINING)
    explaining.run_mm("--study", explaining.root, *words, "--diagnostic")  # so short a check finds nothing, and fails
    (checked,) = (run.name for run in (explaining.root / "runs").iterdir() if run.name.startswith("diagnostic"))
    assert "wiring check" in refused(explaining, tmp_path / "out", run=checked)
    begun = explaining.run_mm("--study", explaining.root, *words, "--prepare")
    assert begun.exit_code == 0, begun.output
    (unfinished,) = (run.name for run in (explaining.root / "runs").iterdir() if not (run / "metrics.json").exists())
    told = refused(explaining, tmp_path / "out", run=unfinished)
    assert f"Run {unfinished} is not finished" in told and "--resume" in told


def test_baselines_are_explained_as_far_as_they_can_be(explaining: Explaining, tmp_path: Path) -> None:
    boosting, constant = (explaining.train("--inputs", "t1", "--model", name) for name in ("boosting", "constant"))
    words = ("--split", "train", "--device", "cpu", "--cube", 16, "--num-samples", 12)
    assert "Give --method occlusion" in refused(explaining, tmp_path / "out", *words, run=boosting)
    content = explaining.written(tmp_path / "trees", *words, "--method", "occlusion", run=boosting)
    assert content["completeness"] is None and content["cube_voxels"] == 16
    nothing = explaining.explain(tmp_path / "same", *words, run=constant)
    assert nothing.exit_code == 0 and "Every attribution is 0" in nothing.stderr
    assert not image(tmp_path / "same" / "t1_all_mean.nii.gz").get_fdata().any()
    told = refused(explaining, tmp_path / "out", *words, "--edges-baseline", "mean", run=constant)
    assert "needs a run of this study with connectivity" in told


def test_a_kill_half_way_leaves_nothing(
    explaining: Explaining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explain, answers = Explainer.explain, iter([True, False])

    def interrupted(self: Explainer, inputs: Any) -> Attribution:
        if next(answers):
            return explain(self, inputs)
        raise KeyboardInterrupt

    monkeypatch.setattr(Explainer, "explain", interrupted)
    assert "Interrupted" in complaint_last(explaining.explain(tmp_path / "out", *FAST, "--steps", 32))
    assert not (tmp_path / "out").exists()


def test_files_of_somebody_who_has_withdrawn_meanwhile_do_not_stay(
    explaining: Explaining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([True, False])

    def present_at_first(*_: Any) -> None:
        if not next(answers):
            raise StudyError("Participants have withdrawn.")

    monkeypatch.setattr(mmstudy.explain.files, "require_present", present_at_first)
    words = ("--sample", explaining.complete_sample(), "--device", "cpu")
    assert "have withdrawn" in complaint_last(explaining.explain(tmp_path / "out", *words))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_leaves_no_file_and_the_same_command_works_once_there_is_space(
    explaining: Explaining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_at_the_second(path: Path, content: bytes, *, mode: int) -> None:
        if any(path.parent.iterdir()):
            raise OSError(errno.ENOSPC, "No space left on device")
        write_bytes(path, content, mode=mode)

    with monkeypatch.context() as patched:
        patched.setattr(mmstudy.explain.files, "write_bytes", full_at_the_second)
        assert complaint_last(explaining.explain(tmp_path / "out", *FAST)) == f"error: {DISK_IS_FULL}"
    assert list((tmp_path / "out").iterdir()) == []
    assert "explanation.json" in explaining.written(tmp_path / "out", *FAST)["files"]
