"""`mm train --stores`: copies of this study's stores are read, another study's are refused."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmdata.store.array import open_array
from mmdata.store.rows import missing_value
from tests.conftest import RunMm

SMALL = ("--epochs", 1, "--channels", "4,4,4", "--inputs", "t1", "--fold", "1/5", "--batch-size", 4)


@pytest.fixture(scope="module")
def other_study(tmp_path_factory: pytest.TempPathFactory, run_mm: RunMm, make_study: Callable[..., Path]) -> Path:
    """A study of other participants with the same settings and as many samples."""
    folder = tmp_path_factory.mktemp("other")
    words = ("--participants", 24, "--voxel-mm", 4, "--seed", 99, "--workers", 0)
    assert run_mm("synth", "ukb", folder / "ukb", *words).exit_code == 0
    root = make_study(folder / "study", source=folder / "ukb")
    assert run_mm("--study", root, "ingest", "ukb", "--workers", 0).exit_code == 0
    return root


def test_copies_of_the_study_s_own_stores_are_read(run_mm: RunMm, study: Path, tmp_path: Path) -> None:
    for store in ("volumes.zarr", "augmented.zarr"):
        shutil.copytree(study / store, tmp_path / store)
    command = (
        "--study",
        study,
        "train",
        "--target",
        "age",
        *SMALL,
        "--inputs",
        "t1,connectivity",
        "--stores",
        tmp_path,
    )
    result = run_mm(*command, "--dry-run")
    assert result.exit_code == 0, result.output


def test_stores_of_another_study_are_refused(run_mm: RunMm, study: Path, other_study: Path) -> None:
    command = ("--study", study, "train", "--target", "age", *SMALL, "--copies", 0, "--stores", other_study)
    result = run_mm(*command, "--dry-run")
    assert result.exit_code == 1
    told = " ".join(result.output.split())
    assert "does not hold" in told and "Copy the stores there again" in told


def test_a_run_is_not_resumed_on_another_study_s_stores(
    run_mm: RunMm, study: Path, other_study: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(study, tmp_path / "study"))
    made = run_mm("--study", copy, "train", "--target", "age", *SMALL, "--copies", 0, "--prepare")
    assert made.exit_code == 0, made.output
    (run,) = [path.name for path in (copy / "runs").iterdir()]
    result = run_mm("--study", copy, "train", "--resume", run, "--stores", other_study)
    assert result.exit_code == 1
    assert "does not hold" in " ".join(result.output.split())


def test_a_volume_of_somebody_else_is_told_by_its_row(run_mm: RunMm, study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "volumes.zarr", tmp_path / "volumes.zarr")
    array = open_array(tmp_path / "volumes.zarr" / "t1" / "32")
    rows = array.read_shard(0)
    array.write_shard(0, np.where(rows == missing_value(rows.dtype), rows, rows // 2))
    command = ("--study", study, "train", "--target", "age", *SMALL, "--copies", 0, "--stores", tmp_path)
    result = run_mm(*command, "--dry-run")
    assert result.exit_code == 1
    assert re.search(r"this study's samples: row \d of t1/32 is another", " ".join(result.output.split()))
