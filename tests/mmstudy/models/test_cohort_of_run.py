"""The people whom a run was trained on, described from its cohort and the study's stores."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmdata.store.array import open_array
from mmdata.store.spec import ensure_array
from mmdata.study import Study, create_study, parse_config
from mmdata.study_arrays import array_specs
from mmstudy.models.cohort_of_run import describe_run
from mmtrain.config.run import parse_run_config
from mmtrain.data.scaling import FeatureScaler
from mmtrain.models.card import ModelCard
from mmtrain.run import RunDirectory, create_run
from tests.made_card import make_card

SIDE, NUM_ROWS = 8, 32
TRAIN = {"target": "age", "kind": "regression", "unit": "years", "inputs": ["t1"], "side": SIDE}
VALUES = np.random.default_rng(5).integers(5_000, 60_000, (NUM_ROWS, SIDE, SIDE, SIDE)).astype(np.uint16)
AGES = np.linspace(45, 80, NUM_ROWS)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    settings = {"salt": "salt-of-a-study-to-describe", "volumes": {"modalities": ("t1",), "sides": (SIDE,)}}
    made = create_study(tmp_path / "study", parse_config(settings, "test"))
    (spec,) = array_specs(made, "t1", NUM_ROWS)
    ensure_array(spec)
    open_array(spec.path).write_shard(0, VALUES)
    return made


def make_run(study: Study, num_train: int, participants: list[int] | None = None, stores: str = "") -> RunDirectory:
    run = create_run(study.layout.runs, parse_run_config({**TRAIN, "stores": stores}))
    pl.DataFrame(
        {
            "sample_id": [f"{number:016x}" for number in range(NUM_ROWS)],
            "row": list(range(NUM_ROWS)),
            "split": ["train"] * num_train + ["test"] * (NUM_ROWS - num_train),
            "augmented": [True] * NUM_ROWS,
            "target": AGES,
            "participant": participants or list(range(NUM_ROWS)),
            "feature_weight": AGES * 2,
            "feature_bmi": AGES,
        }
    ).write_parquet(run.cohort)
    return run


def card() -> ModelCard:
    return make_card(
        volumes=("t1",), side=SIDE, features=FeatureScaler(("weight", "bmi"), (0.0, 0.0), (1.0, 1.0), (True, False))
    )


def test_the_training_split_alone_is_described_of_its_inputs_and_of_age(study: Study) -> None:
    described = describe_run(study, make_run(study, 20), card())
    volumes = described.volumes["t1"]
    assert volumes.people == 20
    np.testing.assert_allclose(volumes.mean_XYZ, VALUES[:20].mean(axis=0) / 65535, atol=1e-5)
    assert set(described.features) == {"age", "weight"}
    assert described.features["weight"].usual.median == pytest.approx(2 * np.median(AGES[:20]), rel=1e-4)
    assert described.edges is None


def test_a_run_that_was_trained_on_copies_elsewhere_is_described_when_they_are_gone(
    study: Study, tmp_path: Path
) -> None:
    here, elsewhere = (
        describe_run(study, make_run(study, 20, stores=where), card()) for where in ("", str(tmp_path / "gone"))
    )
    np.testing.assert_array_equal(elsewhere.volumes["t1"].mean_XYZ, here.volumes["t1"].mean_XYZ)


def test_a_person_counts_once_and_fewer_than_ten_are_not_described(study: Study) -> None:
    twice = [number // 2 for number in range(NUM_ROWS)]
    assert describe_run(study, make_run(study, 24, twice), card()).volumes["t1"].people == 12
    few = describe_run(study, make_run(study, 18, twice), card())
    assert not few.volumes
    assert not few.features


def test_codes_are_not_described_for_their_share_counts_people(study: Study) -> None:
    run = make_run(study, 20)
    table = pl.read_parquet(run.cohort)
    ill = [1.0] * 3 + [0.0] * (NUM_ROWS - 3)
    table.with_columns(feature_weight=pl.Series(ill)).write_parquet(run.cohort)
    assert set(describe_run(study, run, card()).features) == {"age"}
