"""`mm init` refuses settings that cannot be used; `mm status` shows what is there and what is not."""

import json
import shutil
from pathlib import Path

import pytest

from mmcli.study import parse_assignments
from tests.conftest import RunMm
from tests.mmcli.outcome import complaint

SECRET = "5ecre7-0f-a-c0h0rt"


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("volumes.sides=[64,48]", "sides"),
        ("volumes.side=64", "volumes.side"),
        ("salt=short", "16 characters"),
        ("salt=my-secret-salt-1", "The salt is easy to guess: it is made of words that stand for a secret."),
        ("splits.val=0.95", "val"),
        ("train.side=48", "train.side is 48"),
        ("volumes.dtype=int3", "got 'int3'"),
        ("schema_version=2", "schema_version 2"),
    ],
)
def test_a_setting_that_cannot_be_used_makes_no_study(
    run_mm: RunMm, tmp_path: Path, setting: str, expected: str
) -> None:
    assert expected in complaint(run_mm("--study", tmp_path / "study", "init", "--set", setting))
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--set", f"slat={SECRET}"], "slat: there is no such setting. Did you mean salt?"),
        (["--set", f"Salt={SECRET}"], "Did you mean salt?"),
        (["--set", f"study.salt={SECRET}"], "study: there is no such setting"),
        (["--set", f"volumes.salt={SECRET}"], "volumes.salt: there is no such setting. Did you mean salt?"),
        (["--set", f"train.salt={SECRET}"], "train.salt: there is no such setting"),
        (["--set", f"salt={SECRET}", "--set", f"seed={SECRET}"], "seed: "),
        (["--set", f"salt={SECRET}{'x' * 64}"], "at most 64 bytes"),
        (["--set", f"salt:{SECRET}"], "expected NAME=VALUE"),
        (["--set", "seed=1", f"salt={SECRET}"], "A setting is given as --set NAME=VALUE."),
    ],
)
def test_a_mistyped_setting_never_shows_the_salt(run_mm: RunMm, tmp_path: Path, words: list[str], hint: str) -> None:
    result = run_mm("--study", tmp_path / "study", "init", *words)
    assert result.exit_code in (1, 2) and hint in result.stderr
    assert SECRET not in result.output
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    "text", [f'slat = "{SECRET}"', f'salt = "{SECRET}', f"salt = {SECRET}", f'salt = "{SECRET}"\nsalt = "{SECRET}"']
)
def test_a_mistyped_file_never_shows_the_salt(run_mm: RunMm, tmp_path: Path, text: str) -> None:
    (tmp_path / "study.toml").write_text(text)
    result = run_mm("--study", tmp_path, "status")
    assert "study.toml" in complaint(result) and SECRET not in result.output


def test_an_older_study_with_a_weak_salt_is_used_with_a_warning(run_mm: RunMm, study: Path, tmp_path: Path) -> None:
    assert "salt" not in run_mm("--study", study, "status").stderr
    (tmp_path / "study.toml").write_text('salt = "my-secret-salt-1"')
    result = run_mm("--study", tmp_path, "status")
    warning, error = result.stderr.splitlines()
    assert warning.startswith("warning: the salt of this study is easy to guess") and "my-secret" not in warning
    assert error.startswith("error: The study has no catalog.duckdb yet.")


def test_a_file_in_place_of_the_study_is_one_line(run_mm: RunMm, tmp_path: Path) -> None:
    (tmp_path / "study").write_text("not a folder")
    for words in (["init"], ["status"]):
        complaint(run_mm("--study", tmp_path / "study", *words))


def test_settings_are_nested_by_their_dots_and_parsed_as_toml_where_they_are() -> None:
    assert parse_assignments(["volumes.sides=[64, 32]", "volumes.dtype=uint8", "seed = 7"]) == {
        "volumes": {"sides": [64, 32], "dtype": "uint8"},
        "seed": 7,
    }


def test_the_status_names_arrays_that_are_gone_and_runs_that_have_not_ended(
    run_mm: RunMm, study: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(study, tmp_path / "study"))
    for array in ("volumes.zarr/t1/32", "augmented.zarr/dwi"):
        shutil.rmtree(root / array)
    (root / "runs" / "age_t1_20260101-000000").mkdir(parents=True)
    found = json.loads(run_mm("--study", root, "status", "--json").stdout)
    assert found["missing_arrays"] == ["volumes.zarr/t1/32", "augmented.zarr/dwi/32"]
    assert found["unfinished_runs"] == ["age_t1_20260101-000000"]
    text = run_mm("status", "--study", root).stdout
    assert f"Missing: volumes.zarr/t1/32. Make it again with: mm --study {root} repair" in text
    assert "Not finished: age_t1_20260101-000000." in text
