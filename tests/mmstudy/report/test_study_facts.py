"""What a study says for its report, read from a small study with two made-up runs."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from catalog.database import open_catalog
from catalog.fields import load_dictionary
from catalog.statements import fetch_frame
from mmdata.study import Study
from mmdata.synth.marker import FIRST_WORDS, is_synthetic
from mmstudy.comparison.compare import Comparison, compare
from mmstudy.report.content import report_content
from mmstudy.report.facts import ALL_MODALITIES, StudyFacts
from mmstudy.report.figures import make_figures, write_figures
from mmstudy.report.study_facts import read_data_facts, read_study_facts
from mmstudy.settings import load_study
from mmstudy.sweep.cells import Cell
from tests.mmstudy.comparison.made_up import score_row, table
from tests.mmstudy.report.test_content import ABOUT
from tests.mmtrain.page.builder import SIZES, ages, build_run, classes, good_history, scores

DICTIONARY = load_dictionary()
KINDS = {"age": "continuous", "sex": "binary"}


def wilson(share: float, num: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the 95 % interval of a share of so many people."""
    centre, half = share + z**2 / (2 * num), z * np.sqrt(share * (1 - share) / num + z**2 / (4 * num**2))
    return (centre - half) / (1 + z**2 / num), (centre + half) / (1 + z**2 / num)


@contextmanager
def silent(_: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


@pytest.fixture(scope="module")
def own_study(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A copy of the tests' study with a run of age and one of sex."""
    root = Path(shutil.copytree(study, tmp_path_factory.mktemp("report") / "study"))
    truth = {split: ages(SIZES[split], 2) for split in ("val", "test")}
    noise = np.random.default_rng(3)
    near = {split: values + noise.normal(0, 4, len(values)) for split, values in truth.items()}
    build_run(root / "runs" / "of-age", truth, near, good_history(), target="age", seed=5)
    truth = {split: classes(SIZES[split], 4) for split in ("val", "test")}
    build_run(
        root / "runs" / "of-sex", truth, {split: scores(of, 1.5, 6) for split, of in truth.items()}, good_history()
    )
    return load_study(root)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare(
        table(
            [
                score_row(
                    Cell(target=target, inputs=("t1",), blocks=()),
                    0.7,
                    kind=kind,
                    domain="constitutional",
                    run_id=f"of-{target}",
                    val_score=0.7,
                    balanced_accuracy=0.8,
                    n_test=400,
                )
                for target, kind in KINDS.items()
            ]
        ),
        None,
    )


@pytest.fixture(scope="module")
def facts(own_study: Study, comparison: Comparison) -> StudyFacts:
    return read_study_facts(own_study, comparison, read_data_facts(own_study, list(KINDS), DICTIONARY, silent))


@pytest.fixture(scope="module")
def content(facts: StudyFacts, comparison: Comparison) -> dict[str, Any]:
    return report_content(comparison, DICTIONARY, ABOUT, facts)


def test_participants_and_labels_are_counted_by_split_as_the_catalogue_has_them(
    own_study: Study, content: dict[str, Any], status: dict[str, Any]
) -> None:
    splits = content["data"]["splits"]
    told = dict(zip(splits["split"], splits["samples"], strict=True))
    counted = status["splits"]
    hidden = {split for split, text in told.items() if text == "not shown"}
    assert {split for split, count in counted.items() if 0 < count < 10} < hidden  # a neighbour with the small one
    assert sum(counted[split] for split in hidden) >= 10
    assert all(told[split] == str(counted[split]) for split in told if split not in hidden)
    assert [content["targets"][place]["name"] for place in content["data"]["targets"]["target"]] == ["age", "sex"]
    for counts in content["data"]["distributions"]:
        for split in splits["split"]:
            assert all(count is None or count == 0 or count >= 10 for count in counts[split])


def test_inputs_are_counted_by_participant_and_told_in_tens(
    own_study: Study, facts: StudyFacts, content: dict[str, Any]
) -> None:
    with open_catalog(own_study.layout.catalog) as catalog:
        scans = fetch_frame(
            catalog,
            "SELECT split, participant_key, sample_id, modality FROM scans JOIN samples USING (sample_id) "
            "JOIN splits USING (sample_id) WHERE status = 'stored'",
        )
    by_name = {of.name: of for of in facts.data.inputs}
    modalities = [name for name, of in by_name.items() if of.people is not None and name != ALL_MODALITIES]
    for name in modalities:
        people = scans.filter(modality=name).group_by("split").agg(pl.col("participant_key").n_unique())
        assert by_name[name].people == dict(people.rows())
    whole = scans.group_by("split", "participant_key", "sample_id").agg(pl.col("modality").n_unique().alias("num"))
    people = whole.filter(num=len(modalities)).group_by("split").agg(pl.col("participant_key").n_unique())
    assert by_name[ALL_MODALITIES].people == dict(people.rows()) != by_name["connectivity"].people
    assert by_name["constitutional"].told == "sex, age, weight, handedness"
    shown = content["data"]["inputs"]
    assert shown["name"] == ["T1", ALL_MODALITIES]
    tens = by_name["t1"].people["train"] // 10 * 10
    assert shown["train"][0] == f"{tens} to {tens + 9}"


def test_calibration_of_best_models_is_that_of_their_runs(content: dict[str, Any], own_study: Study) -> None:
    calibration = content["calibration"]
    by_target = {
        content["targets"][content["models"]["target"][model]]["name"]: place
        for place, model in enumerate(calibration["model"])
    }
    metrics = json.loads((own_study.layout.runs / "of-sex" / "metrics.json").read_text())
    assert calibration["brier"][by_target["sex"]] == pytest.approx(metrics["test"]["brier"], rel=1e-4)
    frame = pl.read_parquet(own_study.layout.runs / "of-age" / "predictions.parquet").filter(split="test")
    slope = np.polyfit(frame["prediction"].to_numpy(), frame["truth"].to_numpy(), 1)[0]
    assert calibration["slope"][by_target["age"]] == pytest.approx(slope, rel=1e-4)
    assert calibration["slope"][by_target["sex"]] is None
    for curve in calibration["curves"]:
        assert len(curve["predicted"]) >= 4 and np.corrcoef(curve["predicted"], curve["observed"])[0, 1] > 0.9
        ends = (curve[name] for name in ("low", "observed", "high"))
        assert all(low <= of <= high for low, of, high in zip(*ends, strict=True))
        assert all(people >= 10 and people % 10 == 0 for people in curve["people"])
        assert sum(curve["people"]) <= SIZES["test"]
    ages_of = calibration["curves"][by_target["age"]]
    middle = len(ages_of["people"]) // 2
    half = (ages_of["high"][middle] - ages_of["low"][middle]) / 2
    assert half == pytest.approx(2 * 4 / np.sqrt(ages_of["people"][middle]), rel=0.3)  # of noise of 4 years
    of_sex = calibration["curves"][by_target["sex"]]
    of_first = [of_sex[name][0] for name in ("observed", "people", "low", "high")]
    assert of_first[2:] == pytest.approx(wilson(*of_first[:2]), abs=1e-4)


def test_the_text_has_the_studys_own_numbers_settings_and_versions(content: dict[str, Any], own_study: Study) -> None:
    text = " ".join(content["methods_text"])
    assert "2 targets were predicted, 1 continuous and 1 binary" in text
    assert "64³ voxels of 3 mm and 32³ voxels of 6 mm" in text
    assert "at most 100 epochs, stopped after 20" in text
    assert "torch 2.10.0" in text
    assert "best validation score" in text
    limits = " ".join(content["limits"])
    assert "The data are synthetic" in limits
    assert "Each model was trained once" in limits and "There are no baselines" in limits


def test_nothing_of_a_single_person_or_of_the_studys_secrets_is_in_the_content(
    content: dict[str, Any], own_study: Study
) -> None:
    text = json.dumps(content, allow_nan=False)
    ids = [
        sample_id
        for path in own_study.layout.runs.glob("*/cohort.parquet")
        for sample_id in pl.read_parquet(path)["sample_id"]
    ]
    assert ids and not any(sample_id in text for sample_id in ids)
    assert own_study.config.salt not in text and str(own_study.layout.root) not in text


def test_pictures_of_the_study_are_written_too(comparison: Comparison, content: dict[str, Any], tmp_path: Path) -> None:
    recorded: list[Path] = []
    written = make_figures(comparison, content)
    write_figures(written, tmp_path, recorded.append)
    assert {"distributions.png", "distributions.csv", "calibration.svg", "calibration.csv"} <= set(written)
    assert {f"mean-{image['name']}.png" for image in content["data"]["images"]} <= set(written)
    assert recorded == [tmp_path / name for name in written] == [path for path in recorded if path.is_file()]


def test_a_release_says_by_its_readme_that_it_is_synthetic(release: Path, tmp_path: Path) -> None:
    assert is_synthetic(release)
    assert not is_synthetic(tmp_path)
    (tmp_path / "README.txt").write_text("Real. " + FIRST_WORDS)
    assert not is_synthetic(tmp_path)
