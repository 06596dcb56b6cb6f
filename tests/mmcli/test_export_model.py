"""`mm export-model` and what `mm predict --check` prints, on a study of the synthetic release."""

import errno
import json
import re
import shutil
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
import typer

from mmbase.checksums import write_checked
from mmcli.check import check_model
from mmstudy.api import open_study
from mmtrain.bundle import BundleDirectory
from mmtrain.models.trained import load_model
from tests.conftest import RunMm
from tests.mmcli.conftest import SMALL_TRAINING
from tests.mmcli.outcome import complaint


@pytest.fixture(scope="module")
def trained(copy: Path, run_mm: RunMm, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study of its own, and its run."""
    root = Path(shutil.copytree(copy, tmp_path_factory.mktemp("export") / "study"))
    result = run_mm("--study", root, "train", "--target", "age", *SMALL_TRAINING, "--json")
    assert result.exit_code == 0, result.output
    return root, json.loads(result.stdout)["run_id"]


@pytest.fixture(scope="module")
def bundle(trained: tuple[Path, str], run_mm: RunMm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("bundles") / "age-model"
    result = run_mm("--study", trained[0], "export-model", trained[1], where, "--no-onnx", "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["bundle"] == str(where) and content["onnx"] is False
    return where


def test_a_bundle_predicts_stored_scans_as_the_run_did(trained: tuple[Path, str], bundle: Path) -> None:
    root, run = trained
    predictions = pl.read_parquet(root / "runs" / run / "predictions.parquet")
    study = open_study(root)
    volumes = np.stack([study.volume(name, "t1", side=32).values_XYZ for name in predictions["sample_id"]])
    got = load_model(bundle).predict(volumes={"t1": volumes})
    np.testing.assert_allclose(got["age"], predictions["prediction"], atol=1e-3)


def test_a_model_leaves_a_study_that_cannot_be_written_and_the_user_is_told_that_it_is_not_on_record(
    trained: tuple[Path, str], run_mm: RunMm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("mmstudy.on_record.append_receipts", refuse)
    root, run = trained
    other = Path(shutil.copytree(root, tmp_path / "study"))
    (other / "receipts" / "summaries.jsonl").unlink(missing_ok=True)  # what another test put there
    result = run_mm("--study", other, "export-model", run, tmp_path / "model", "--no-onnx", "--json")
    assert result.exit_code == 0, result.output
    (warning,) = json.loads(result.stdout)["warnings"]
    assert "not on record" in warning and (tmp_path / "model" / "README.md").exists()


def test_a_bundle_that_would_name_a_participant_is_not_kept(
    trained: tuple[Path, str], run_mm: RunMm, tmp_path: Path
) -> None:
    root, run = trained
    with duckdb.connect(str(root / "catalog.duckdb"), read_only=True) as catalog:
        ((eid,),) = catalog.execute("SELECT eid FROM samples LIMIT 1").fetchall()
    citation = f"Somebody et al., with thanks to '{eid}'"
    words = ("--study", root, "export-model", run, tmp_path / "model", "--no-onnx", "--citation", citation)
    told = complaint(run_mm(*words)).replace("\n", " ")
    assert "must not leave the study, so it is not kept: README.md" in told and str(eid) not in told
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_put_on_record_and_says_that_nobody_attacked_the_model(
    trained: tuple[Path, str], bundle: Path, run_mm: RunMm
) -> None:
    root, run = trained
    (line,) = (root / "receipts" / "summaries.jsonl").read_text().splitlines()
    assert run in line and '"bundle"' in line and str(bundle.parent) not in line
    assert "How much they hold has not been measured here." in (bundle / "README.md").read_text()
    assert not [path for path in bundle.rglob("*") if "training_predictions" in path.name]
    checked = run_mm("--study", root, "privacy", "--exports")
    assert checked.exit_code == 0 and "No rule speaks against what was exported so far" in checked.stdout
    assert run_mm("--study", root, "privacy", run, "--exports").exit_code == 2


def test_a_bundle_names_no_participant_sample_or_folder(trained: tuple[Path, str], bundle: Path) -> None:
    root, run = trained
    with duckdb.connect(str(root / "catalog.duckdb"), read_only=True) as catalog:
        rows = catalog.execute("SELECT eid, sample_id FROM samples").fetchall()
    eids = re.compile(rb"(?<![\d.])(" + b"|".join(str(eid).encode() for eid, _ in rows) + rb")(?!\d)")
    names = [sample_id for _, sample_id in rows] + [str(root.parent), run, "salt-of-the-test-study"]
    assert len(rows) > 20
    for path in bundle.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert eids.search(content) is None and not [name for name in names if name.encode() in content]


def test_a_bundle_is_made_of_a_bundle_where_there_is_no_study(
    bundle: Path, run_mm: RunMm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("export-model", bundle, tmp_path / "again", "--no-onnx", "--licence", "CC0")
    result = run_mm(*words)
    assert result.exit_code == 0, result.output
    assert "Read its README.md before you pass it on." in result.stdout and "There is no ONNX file." in result.stdout
    assert "CC0" in (tmp_path / "again" / "README.md").read_text()
    assert "is there already" in complaint(run_mm(*words))


def test_a_model_that_is_not_there_is_told(trained: tuple[Path, str], run_mm: RunMm, tmp_path: Path) -> None:
    assert "There is no model 'x'" in complaint(run_mm("--study", trained[0], "export-model", "x", tmp_path / "b"))


def test_a_check_says_that_the_model_predicts_the_same(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_model(bundle, "cpu", as_json=False)
    assert "predicts the same here" in capsys.readouterr().out
    check_model(bundle, "cpu", as_json=True)
    assert json.loads(capsys.readouterr().out)["same"] is True


def test_a_check_fails_where_the_model_is_damaged_or_another(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = BundleDirectory(Path(shutil.copytree(bundle, tmp_path / "copied")))
    outputs = json.loads(copied.golden_outputs.read_text())
    outputs["predictions"]["age"][0] += 1
    write_checked(copied.golden_outputs, json.dumps(outputs).encode())
    with pytest.raises(typer.Exit) as ended:
        check_model(copied.path, "cpu", as_json=False)
    assert ended.value.exit_code == 1
    told = capsys.readouterr()
    assert "age: " in told.out and "predicts something else here" in told.err
    copied.model.write_bytes(b"")
    with pytest.raises(typer.Exit):
        check_model(copied.path, "cpu", as_json=False)
    assert "The bundle is damaged: model.safetensors." in capsys.readouterr().err
