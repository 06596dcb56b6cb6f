"""Recipes and the stored copies that are made from them."""

import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmdata.augment.apply import augment_batch
from mmdata.augment.parameters import GEOMETRY_KINDS, KINDS, AugmentSettings
from mmdata.augment.recipe import Geometry, Intensity, draw_geometry, draw_intensity
from mmdata.copies.copy import replay_copy
from mmdata.copies.estimate import estimate_seconds
from mmdata.copies.precompute import CopyTask, execute_copies, plan_copies
from mmdata.copies.preview import WHOLE_COPIES, draw_sheet, kind_alone, preview_columns
from mmdata.errors import StoreError, StudyError
from mmdata.store.array import open_array
from mmdata.store.spec import ensure_array
from mmdata.study import Study, StudyConfig, create_study
from mmdata.study_arrays import array_specs
from mmdata.volume.settings import ConnectivitySettings, VolumeSettings

SETTINGS = AugmentSettings()
ALWAYS = AugmentSettings(probability=1.0, probabilities={})
EXTENT_MM = 192.0
seeds = st.integers(0, 2**31)


def flat(value: Any) -> NDArray[np.float64]:
    """All numbers of a recipe."""
    if is_dataclass(value):
        return np.concatenate([flat(getattr(value, field.name)) for field in fields(value)])
    if isinstance(value, tuple):
        return np.concatenate([flat(entry) for entry in value])
    return np.ravel(np.asarray(value, float))


@settings(deadline=None)
@given(seeds, st.text(max_size=20), st.integers(1, 100))
def test_the_draw_is_a_function_of_seed_sample_and_copy(seed: int, sample_id: str, copy: int) -> None:
    geometry = flat(draw_geometry(ALWAYS, seed, sample_id, copy))
    np.testing.assert_array_equal(geometry, flat(draw_geometry(ALWAYS, seed, sample_id, copy)))
    noise = draw_intensity(ALWAYS, seed, sample_id, copy, "t1").noise_starts
    intensity = flat(draw_intensity(ALWAYS, seed, sample_id, copy, "t1"))
    np.testing.assert_array_equal(intensity, flat(draw_intensity(ALWAYS, seed, sample_id, copy, "t1")))
    for other in ((seed + 1, sample_id, copy), (seed, sample_id + "x", copy), (seed, sample_id, copy + 1)):
        assert not np.array_equal(geometry, flat(draw_geometry(ALWAYS, *other)))
        assert noise != draw_intensity(ALWAYS, *other, "t1").noise_starts
    assert noise != draw_intensity(ALWAYS, seed, sample_id, copy, "flair").noise_starts


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_without_chance_a_recipe_changes_nothing(seed: int) -> None:
    never = replace(SETTINGS, probability=0.0, probabilities={})
    assert draw_geometry(never, seed, "s", 1).is_identity
    np.testing.assert_array_equal(flat(draw_intensity(never, seed, "s", 1, "t1")), flat(Intensity()))


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from(KINDS))
def test_a_kind_is_drawn_alike_whatever_becomes_of_the_others(seed: int, kind: str) -> None:
    without = replace(ALWAYS, probability=1.0, probabilities={kind: 0.0})
    alone = replace(ALWAYS, probability=0.0, probabilities={kind: 1.0})
    neutral = flat_recipe(replace(ALWAYS, probability=0.0), seed)
    together = flat_recipe(ALWAYS, seed)
    for name, value in flat_recipe(alone, seed).items():
        if name != "linear_33" and not np.array_equal(value, neutral[name]):
            np.testing.assert_array_equal(value, together[name])
            np.testing.assert_array_equal(flat_recipe(without, seed)[name], neutral[name])


def flat_recipe(with_settings: AugmentSettings, seed: int) -> dict[str, NDArray[np.float64]]:
    values = (draw_geometry(with_settings, seed, "s", 1), draw_intensity(with_settings, seed, "s", 1, "t1"))
    return {
        field.name: np.empty(0) if getattr(value, field.name) is None else flat(getattr(value, field.name))
        for value in values
        for field in fields(value)
    }


@settings(deadline=None)
@given(seeds)
def test_amounts_stay_within_the_settings(seed: int) -> None:
    geometry, recipe = draw_geometry(ALWAYS, seed, "s", 1), draw_intensity(ALWAYS, seed, "s", 1, "t1")
    assert np.abs(geometry.shift_mm).max() <= 3 and np.abs(geometry.displacement_mm).max() <= 1.5
    assert abs(geometry.inflation) <= 0.05
    # rotation, shear, scale and crop: singular values near one, no mirror
    assert np.linalg.det(geometry.linear_33) > 0
    assert np.abs(np.linalg.svd(geometry.linear_33, compute_uv=False) - 1).max() < 0.09
    assert recipe.curve[0] == 0 and recipe.curve[-1] == 1 and (np.diff(recipe.curve) >= 0).all()
    assert 3 <= len(recipe.curve) <= 6
    assert np.abs(recipe.curve - np.linspace(0, 1, len(recipe.curve))).max() <= 0.05 + 1e-9
    assert abs(np.log(recipe.gamma)) <= 0.2 and 0 <= recipe.noise_std <= 0.02 and max(recipe.gibbs) <= 0.5
    assert 0 <= recipe.spike <= 0.05 and any(recipe.spike_cycles) and 0 <= recipe.ghosting <= 0.5
    assert 2 <= recipe.ghosting_interval <= 6 and recipe.blur_mm <= 1.5 and 3 <= recipe.slice_mm <= 6
    assert recipe.motion is not None and recipe.motion.times[0] < 0.5 < recipe.motion.times[1]
    for pose in recipe.motion.poses:
        assert np.abs(pose.shift_mm).max() <= 3
        np.testing.assert_allclose(pose.linear_33 @ pose.linear_33.T, np.eye(3), atol=1e-12)


def test_each_kind_of_change_happens_about_as_often_as_set() -> None:
    own = replace(SETTINGS, probability=0.5, probabilities={"noise": 0.1, "blur": 0.9})
    geometries = [draw_geometry(own, seed, "s", 1) for seed in range(400)]
    recipes = [draw_intensity(own, seed, "s", 1, "t1") for seed in range(400)]
    shares = {
        "translation": np.mean([geometry.shift_mm.any() for geometry in geometries]),
        "elastic": np.mean([geometry.displacement_mm.size > 0 for geometry in geometries]),
        "motion": np.mean([recipe.motion is not None for recipe in recipes]),
        "gamma": np.mean([recipe.gamma != 1 for recipe in recipes]),
        "noise": np.mean([recipe.noise_std > 0 for recipe in recipes]),
        "blur": np.mean([recipe.blur_mm > 0 for recipe in recipes]),
    }
    for kind, share in shares.items():
        assert share == pytest.approx(own.chance_of(kind), abs=0.1), kind


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"probability": -0.1}, "probability must be 0 to 1, got -0.1"),
        ({"noise": -1.0}, "noise must be a number from 0 to 1, got -1"),
        ({"elastic_mm": float("inf")}, "elastic_mm must be a number from 0, got inf"),
        ({"crop": 0.9}, "crop must be a number from 0 to 0.5"),
        ({"probabilities": {"motion": 2.0}}, "probabilities.motion must be 0 to 1, got 2.0"),
        ({"probabilities": {"wobble": 0.5}}, "probabilities may name rotation, .*, got wobble"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        AugmentSettings(**wrong)


def test_a_batch_of_samples_gives_what_they_give_one_by_one() -> None:
    half, names = replace(ALWAYS, probability=0.5), ("t1", "flair")
    volumes = torch.rand((6, 2, 12, 12, 12), generator=torch.Generator().manual_seed(3))
    volumes[..., :4] = 0
    volumes[2, 1] = 0  # an absent modality
    geometries = [draw_geometry(half, seed, "s", 1) for seed in range(5)] + [Geometry()]
    recipes = [[draw_intensity(half, seed, "s", 1, name) for name in names] for seed in range(6)]
    at_once = augment_batch(volumes, geometries, recipes, EXTENT_MM)
    for index in range(6):
        alone = augment_batch(volumes[index : index + 1], [geometries[index]], [recipes[index]], EXTENT_MM)[0]
        np.testing.assert_allclose(at_once[index], alone, atol=1e-6)
    assert not at_once[2, 1].any()


def test_what_a_trainer_imports_needs_little_installed() -> None:
    heavy = ("dask", "distributed", "nibabel", "SimpleITK", "zarr", "duckdb")
    program = (
        f"import sys, mmdata.augment.apply, mmdata.augment.recipe; print([m for m in {heavy} if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


ROWS = {"t1": {0: "a", 2: "c", 5: "f"}, "flair": {0: "a", 5: "f"}}


def small_study(folder: Path, side: int = 16, **augment: Any) -> Study:
    """Six rows of two modalities with equal volumes, training rows as in `ROWS`, four rows to a shard."""
    config = StudyConfig(
        salt="salt-of-a-small-study",
        volumes=VolumeSettings(modalities=("t1", "flair"), sides=(side, 8), rows_per_shard=4),
        connectivity=ConnectivitySettings(enabled=False),
        augment=AugmentSettings(sides=(side,), **augment),
        train={"side": side},
    )
    study = create_study(folder, config)
    volumes = np.random.default_rng(4).integers(1, 65535, (6, side, side, side), np.uint16)
    volumes[:, :3] = 0
    for modality in ROWS:
        for spec in array_specs(study, modality, 6):
            ensure_array(spec)
            rows = volumes[:, : spec.shape[-1], : spec.shape[-1], : spec.shape[-1]]
            array = open_array(spec.path)
            array.write_shard(0, rows[:4])
            array.write_shard(4, rows[4:])
    return study


def make_copies(study: Study, copies: int, *, workers: int = 0, stop_after: int | None = None) -> int:
    plan = plan_copies(study, ROWS, num_rows=6, copies=copies, sides=(16,), workers=workers)
    calls = 0

    def on_progress(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if stop_after is not None and calls > stop_after:
            raise KeyboardInterrupt

    execute_copies(study, plan, workers=workers, on_progress=on_progress)
    return plan.num_volumes


def small_plan(study: Study, copies: int = 2) -> Any:
    return plan_copies(study, ROWS, num_rows=6, copies=copies, sides=(16,), workers=0)


def augmented_files(study: Study) -> dict[str, bytes]:
    root = study.layout.augmented
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_copies_exist_of_the_training_rows_only(tmp_path: Path) -> None:
    study = small_study(tmp_path / "s")
    assert make_copies(study, 2) == 2 * (3 + 2)
    for modality, rows in ROWS.items():
        array = open_array(study.layout.augmented_array(modality, 16))
        stored = array.read_rows([(copy, row) for copy in (0, 1) for row in rows])
        assert len({row.tobytes() for row in stored}) == 2 * len(rows)
        for row in set(range(6)) - set(rows):
            with pytest.raises(StoreError, match="never stored"):
                array.read_rows([(1, row)])


def test_modalities_of_a_sample_share_the_geometry_of_a_copy(tmp_path: Path) -> None:
    study = small_study(tmp_path / "s", probability=0.0, probabilities=dict.fromkeys(GEOMETRY_KINDS, 1.0))
    make_copies(study, 1)
    t1, flair = (open_array(study.layout.augmented_array(m, 16)).read_rows([(0, 0), (0, 5)]) for m in ("t1", "flair"))
    np.testing.assert_array_equal(t1, flair)
    assert not np.array_equal(t1[0], open_array(study.layout.volume_array("t1", 16)).read_rows([(0,)])[0])


def test_interrupted_copies_end_as_uninterrupted_ones_and_finished_ones_do_not_change(tmp_path: Path) -> None:
    whole, broken = small_study(tmp_path / "whole"), small_study(tmp_path / "broken")
    make_copies(whole, 3)
    for stop_after in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            make_copies(broken, 3, stop_after=stop_after)
    # of six shards, with 3 and 2 volumes in turn, one and then three more were finished
    assert make_copies(broken, 3) == 5
    assert augmented_files(broken) == augmented_files(whole)
    assert make_copies(broken, 3) == 0
    assert augmented_files(broken) == augmented_files(whole)


def test_two_workers_make_the_same_bytes_as_none(tmp_path: Path) -> None:
    here, there = small_study(tmp_path / "here"), small_study(tmp_path / "there")
    make_copies(here, 2)
    make_copies(there, 2, workers=2)
    assert augmented_files(there) == augmented_files(here)


def test_more_copies_later_are_those_of_one_go(tmp_path: Path) -> None:
    at_once, later = small_study(tmp_path / "once"), small_study(tmp_path / "later")
    make_copies(at_once, 3)
    make_copies(later, 1)
    assert make_copies(later, 3) == 2 * 5
    assert augmented_files(later) == augmented_files(at_once)


@pytest.fixture
def several_threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("num_threads", [1, 3])
def test_a_stored_copy_is_replayed_with_any_number_of_threads(
    tmp_path: Path, several_threads: Callable[[int], None], num_threads: int
) -> None:
    study = small_study(tmp_path / "s", probability=0.8, probabilities={})
    make_copies(study, 2)
    several_threads(num_threads)
    for modality, rows in ROWS.items():
        array = open_array(study.layout.augmented_array(modality, 16))
        for copy in (1, 2):
            for row, sample_id in rows.items():
                volume = open_array(study.layout.volume_array(modality, 16)).read_rows([(row,)])[0]
                replayed = replay_copy(array.attributes, volume, sample_id, copy)
                np.testing.assert_array_equal(replayed, array.read_rows([(copy - 1, row)])[0])
                assert torch.get_num_threads() == num_threads
    older = {**array.attributes, "augmentation": {**array.attributes["augmentation"], "drawing_version": 0}}
    with pytest.raises(StoreError, match="version 0 of the drawing"):
        replay_copy(older, volume, sample_id, 1)


def test_a_modality_that_comes_later_gets_the_copies_of_one_go(tmp_path: Path) -> None:
    at_once, later = small_study(tmp_path / "once"), small_study(tmp_path / "later")
    make_copies(at_once, 2)
    for rows in ({"t1": ROWS["t1"], "flair": {}}, ROWS):
        plan = plan_copies(later, rows, num_rows=6, copies=2, sides=(16,), workers=0)
        execute_copies(later, plan, workers=0, on_progress=lambda *_: None)
    assert augmented_files(later) == augmented_files(at_once)


def test_samples_that_a_gpu_makes_at_once_are_those_of_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_by_one, at_once = small_study(tmp_path / "one"), small_study(tmp_path / "once")
    make_copies(one_by_one, 2)
    monkeypatch.setattr("mmdata.copies.precompute.rows_at_once", lambda device: 2)
    make_copies(at_once, 2)
    for modality, rows in ROWS.items():
        indices = [(copy, row) for copy in (0, 1) for row in rows]
        first, second = (
            open_array(study.layout.augmented_array(modality, 16)).read_rows(indices).astype(int)
            for study in (one_by_one, at_once)
        )
        np.testing.assert_allclose(first, second, atol=1)  # of 65535


def test_the_time_is_estimated_without_storing_anything(tmp_path: Path) -> None:
    study = small_study(tmp_path / "s")
    plan = small_plan(study)
    assert 0 < estimate_seconds(plan, workers=0) < 3600
    assert not study.layout.augmented.exists()
    make_copies(study, 2)
    assert estimate_seconds(small_plan(study), workers=2) == 0


MEASURE = """
import pathlib, pickle, sys
from mmdata.copies.precompute import store_copy
for task in pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()):
    store_copy(task)
status = pathlib.Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) * 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from Linux's /proc")
def test_a_worker_stays_within_the_memory_that_was_projected(
    tmp_path: Path, pickled: Callable[[tuple[CopyTask, ...]], Path]
) -> None:
    study = small_study(tmp_path / "s", side=96, probability=1.0, probabilities={})
    plan = plan_copies(study, ROWS, num_rows=6, copies=2, sides=(96,), workers=1)
    for spec in plan.arrays:
        ensure_array(spec)
    command = [sys.executable, "-c", MEASURE, str(pickled(plan.tasks))]
    used = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert used <= plan.projection.worker_bytes


@pytest.fixture
def pickled(tmp_path: Path) -> Callable[[tuple[CopyTask, ...]], Path]:
    def write(tasks: tuple[CopyTask, ...]) -> Path:
        (tmp_path / "tasks.pickle").write_bytes(pickle.dumps(tasks))
        return tmp_path / "tasks.pickle"

    return write


def test_a_preview_shows_every_kind_and_copies_as_they_will_be(tmp_path: Path) -> None:
    study = small_study(tmp_path / "s")
    stored = {m: open_array(study.layout.volume_array(m, 16)).read_rows([(0,)])[0] for m in ROWS}
    strong = replace(SETTINGS, anisotropy_mm=30.0)  # thick enough to show at side 16
    columns = list(preview_columns(stored, strong, study.config.seed, "a", EXTENT_MM))
    labels = [column.label for column in columns]
    assert labels[0] == "as stored" and labels[-WHOLE_COPIES:] == ["copy 1", "copy 2", "copy 3"]
    assert labels[1:-WHOLE_COPIES] == [kind.replace("_", " ") for kind in KINDS]
    for column in columns[1:-WHOLE_COPIES]:
        for modality, volume_XYZ in column.volumes.items():
            assert np.abs(volume_XYZ - columns[0].volumes[modality]).max() > 1e-3, column.label
    assert draw_sheet(columns, "title").startswith(b"\x89PNG")
    assert kind_alone(SETTINGS, "gibbs").gibbs == 0.9 and kind_alone(SETTINGS, "crop").crop == pytest.approx(0.03)


def test_other_amounts_are_refused(tmp_path: Path) -> None:
    study = small_study(tmp_path / "s")
    make_copies(study, 1)
    other = replace(study, config=replace(study.config, augment=replace(study.config.augment, noise=0.1)))
    advice = "remove augmented.zarr and receipts/copies.jsonl from the study, and make all copies again"
    with pytest.raises(StoreError, match=rf"other settings \(augmentation\).* or {advice}"):
        make_copies(other, 2)
    shutil.rmtree(study.layout.root / "augmented.zarr")
    (study.layout.receipts / "copies.jsonl").unlink()
    make_copies(other, 2)
    assert open_array(study.layout.augmented_array("t1", 16)).attributes["augmentation"]["noise"] == 0.1


@pytest.mark.parametrize(
    ("rows", "copies", "sides", "named"),
    [
        (ROWS, 0, (16,), "Expected 1 to 1000 copies, got 0"),
        (ROWS, 1, (12,), "Side 12"),
        ({"t1": {}}, 1, (16,), "No training volume"),
    ],
)
def test_what_cannot_be_made_is_said_before_anything_is_written(
    tmp_path: Path, rows: dict[str, dict[int, str]], copies: int, sides: tuple[int, ...], named: str
) -> None:
    study = small_study(tmp_path / "s")
    with pytest.raises(StudyError, match=named):
        plan_copies(study, rows, num_rows=6, copies=copies, sides=sides, workers=0)
    assert not study.layout.augmented.exists()
