"""A bundle predicts what its run predicts, without the study, and tells nothing of any person."""

import gzip
import json
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import load_file

import mmtrain
from mmbase.checksums import find_changed
from mmbase.files import write_json
from mmdata.study import Study
from mmstudy.models import export
from mmstudy.models.contract import contract_of_study
from mmstudy.models.export import ExportOptions, export_model
from mmstudy.models.find import find_model
from mmstudy.models.published_export import export_run
from mmstudy.repair import find_files
from mmtrain.bundle import BundleDirectory
from mmtrain.bundles.results import read_results
from mmtrain.errors import TrainError
from mmtrain.models.trained import load_model, read_model_card
from mmtrain.run import RunDirectory
from tests.mmstudy.models.conftest import some_inputs, train_run
from tests.mmtrain.conftest import TinyStudy

PLAIN = ExportOptions(onnx=False)


def test_a_bundle_is_found_without_a_study_and_predicts_what_the_run_predicts(
    bundle: Path, everything: RunDirectory, study_of_models: Study, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(bundle, tmp_path / "elsewhere"))
    found = find_model(None, str(moved))
    assert not found.is_run and found.name == "elsewhere"
    expected = load_model(everything.path).predict(**some_inputs())
    got = found.load(torch.device("cpu")).predict(**some_inputs())
    np.testing.assert_array_equal(got["age"], expected["age"])
    assert found.contract == contract_of_study(study_of_models, read_model_card(everything.path))


def test_a_copy_in_the_folder_models_is_found_by_its_name(bundle: Path, fresh_study: Study) -> None:
    shutil.copytree(bundle, fresh_study.layout.models / "age-model")
    assert find_model(fresh_study, "age-model").path == fresh_study.layout.models / "age-model"


def test_damage_to_a_model_that_a_study_keeps_is_found(bundle: Path, fresh_study: Study) -> None:
    kept = BundleDirectory(Path(shutil.copytree(bundle, fresh_study.layout.models / "age-model")))
    assert find_files(fresh_study) == []
    for path in (kept.model, kept.golden_outputs):
        path.write_bytes(path.read_bytes() + b" ")
    damaged = [file.file for file in find_files(fresh_study)]
    assert damaged == ["models/age-model/model.safetensors", "models/age-model/golden/outputs.json"]


def test_exporting_a_bundle_again_changes_nothing_but_what_is_said_of_it(bundle: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    export_model(None, str(bundle), again, ExportOptions(licence="CC0", citation="Somebody 2026", onnx=False))
    first, second = BundleDirectory(bundle), BundleDirectory(again)
    for part in ("model", "model_card", "contract", "results", "golden_inputs", "golden_outputs"):
        assert getattr(first, part).read_bytes() == getattr(second, part).read_bytes(), part
    text = second.readme.read_text()
    assert "CC0" in text and "Somebody 2026" in text and "CC-BY-4.0" not in text


def contents(path: Path) -> Iterator[bytes]:
    """Yield a file as it is, and whatever can be unpacked of it."""
    content = path.read_bytes()
    yield content
    for unpack in (gzip.decompress, zlib.decompress):
        try:
            yield unpack(content)
        except (OSError, EOFError, zlib.error):
            continue
    if path.suffix == ".safetensors":
        for name, array in load_file(path).items():
            yield name.encode() + array.tobytes()


def test_no_byte_of_a_bundle_names_a_sample_or_the_study(
    bundle: Path, everything: RunDirectory, study_of_models: Study
) -> None:
    cohort = pl.read_parquet(everything.cohort)
    root = study_of_models.layout.root
    secrets = [*cohort["sample_id"], *(str(path) for path in (root, bundle)), root.name, study_of_models.config.salt]
    secrets += [everything.run_id, str(Path(mmtrain.__file__).parents[1]), str(Path(torch.__file__).parents[1])]
    files = [path for path in bundle.rglob("*") if path.is_file()]
    assert len(files) == 12
    for path in files:
        for content in contents(path):
            assert not [secret for secret in secrets if secret.encode() in content], path.name


def test_every_file_can_be_read_by_others_and_is_as_its_checksum_says(bundle: Path) -> None:
    paths = [bundle, *bundle.rglob("*")]
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_dir()} == {"0o755"}
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_file()} == {"0o644"}
    assert find_changed(bundle) == find_changed(bundle / "golden") == []


def test_what_is_told_of_results_is_what_the_run_says_to_three_digits(bundle: Path, everything: RunDirectory) -> None:
    metrics = json.loads(everything.metrics.read_text())
    (told,) = read_results(BundleDirectory(bundle).results).targets
    mae = told.metrics["test"]["mae"]
    low, high = metrics["intervals"]["test"]["mae"]
    expected = [float(f"{value:.3g}") for value in (metrics["test"]["mae"], low, high)]
    assert [mae.value, mae.low, mae.high] == expected
    assert set(told.metrics["val"]) <= set(metrics["val"])


def test_a_small_split_is_not_counted_in_the_card_and_nothing_is_measured_on_it(
    tiny_of_models: TinyStudy, study_of_models: Study, tmp_path: Path
) -> None:
    tiny = TinyStudy(
        tiny_of_models.layout,
        tiny_of_models.ages,
        tiny_of_models.classes,
        ["train"] * 60 + ["val"] * 23 + ["test"] * 5,
        tiny_of_models.side,
    )
    run = train_run(tiny, inputs=("connectivity",), model="linear", channels=())
    export_model(study_of_models, run.run_id, tmp_path / "small", PLAIN)
    bundle = BundleDirectory(tmp_path / "small")
    assert read_model_card(bundle.path).trained_on["n"] == {"train": 60, "val": 23, "test": "<10"}
    results = read_results(bundle.results)
    assert results.cohort["test"].samples == "<10"
    assert results.targets[0].metrics["test"] == {} and results.targets[0].groups == []


@pytest.fixture
def fresh_run(everything: RunDirectory, fresh_study: Study, study_of_models: Study) -> RunDirectory:
    """A copy of the run in a study to change, with the volumes that it was trained on."""
    shutil.copytree(study_of_models.layout.volumes, fresh_study.layout.volumes)
    return RunDirectory(Path(shutil.copytree(everything.path, fresh_study.layout.runs / everything.run_id)))


def test_a_run_that_is_no_result_is_refused(fresh_run: RunDirectory, fresh_study: Study, tmp_path: Path) -> None:
    where = tmp_path / "bundle"
    config = json.loads(fresh_run.config.read_text())
    write_json(fresh_run.config, config | {"train": config["train"] | {"diagnostic": True}})
    with pytest.raises(TrainError, match="wiring check"):
        export_model(fresh_study, fresh_run.run_id, where, PLAIN)
    fresh_run.predictions.unlink()
    with pytest.raises(TrainError, match=r"lacks predictions\.parquet"):
        export_model(fresh_study, fresh_run.run_id, where, PLAIN)
    fresh_run.metrics.unlink()
    with pytest.raises(TrainError, match=f"not finished.*mm train --resume {fresh_run.run_id}"):
        export_model(fresh_study, fresh_run.run_id, where, PLAIN)
    assert list(tmp_path.glob("bundle*")) == []


def test_a_run_of_withdrawn_participants_is_refused_also_when_they_withdraw_meanwhile(
    fresh_run: RunDirectory, fresh_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = {"date": "2026-01-02", "cohort": {}, "withdrawn": {}}
    render = export.render_readme

    def withdraw_while_rendering(readme: object) -> bytes:
        write_json(fresh_run.withdrawn, mark)
        return render(readme)  # type: ignore[arg-type]

    monkeypatch.setattr(export, "render_readme", withdraw_while_rendering)
    for _ in ("meanwhile", "before"):
        with pytest.raises(TrainError, match=r"withdrawn since.*Train it again"):
            export_model(fresh_study, fresh_run.run_id, tmp_path / "bundle", PLAIN)
    assert list(tmp_path.glob("bundle*")) == []
    with pytest.raises(TrainError, match="withdrawn since"):
        export_run(fresh_study, find_model(fresh_study, fresh_run.run_id), tmp_path / "run.pt", overwrite=False)
    assert not (tmp_path / "run.pt").exists()


def test_a_run_of_fewer_than_ten_people_is_refused(
    tiny_of_models: TinyStudy, study_of_models: Study, tmp_path: Path
) -> None:
    splits = ["train"] * 9 + ["val"] * 39 + ["test"] * 40
    tiny = TinyStudy(tiny_of_models.layout, tiny_of_models.ages, tiny_of_models.classes, splits, tiny_of_models.side)
    run = train_run(tiny, inputs=("connectivity",), model="linear", channels=())
    with pytest.raises(TrainError, match="fewer than 10 participants"):
        export_model(study_of_models, run.run_id, tmp_path / "bundle", PLAIN)


def test_a_run_whose_features_would_count_few_people_is_refused_by_their_names(
    tiny_of_models: TinyStudy, study_of_models: Study, tmp_path: Path
) -> None:
    splits = ["train"] * 16 + ["val"] * 36 + ["test"] * 36
    tiny = TinyStudy(tiny_of_models.layout, tiny_of_models.ages, tiny_of_models.classes, splits, tiny_of_models.side)
    tabular = {"metadata_blocks": ("constitutional",), "features": ("LDL", "sex"), "shown_features": ("LDL", "sex")}
    run = train_run(tiny, inputs=("connectivity", "metadata"), model="linear", channels=(), **tabular)
    with pytest.raises(TrainError, match=r"fewer than 10 people who have, share.* value of sex,.*with no block"):
        export_model(study_of_models, run.run_id, tmp_path / "bundle", PLAIN)
    assert list(tmp_path.iterdir()) == []


def test_a_network_without_a_form_in_onnx_is_exported_without_it_unless_it_was_asked_for(
    tiny_of_models: TinyStudy, study_of_models: Study, tmp_path: Path
) -> None:
    run = train_run(tiny_of_models, inputs=("t1", "connectivity"), model="boosting", channels=())
    made = export_model(study_of_models, run.run_id, tmp_path / "quiet", ExportOptions())
    assert "boosting" in made.onnx_note and made.onnx_note in BundleDirectory(made.path).readme.read_text()
    assert not BundleDirectory(made.path).onnx.exists()
    with pytest.raises(TrainError, match="has no form in ONNX"):
        export_model(study_of_models, run.run_id, tmp_path / "asked", ExportOptions(onnx=True))


def test_without_the_libraries_onnx_is_left_out_and_who_asks_for_it_is_told_what_to_install(
    study_of_models: Study, everything: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmtrain.bundles.onnx_file._WRITING", ("a_library_that_is_not_there",))
    made = export_model(study_of_models, everything.run_id, tmp_path / "quiet", ExportOptions())
    assert "pip install" in made.onnx_note
    with pytest.raises(TrainError, match=r"pip install 'megamodeller\[onnx\]'"):
        export_model(study_of_models, everything.run_id, tmp_path / "asked", ExportOptions(onnx=True))
