"""`mm privacy RUN`: attacks on finished runs, and where their result stands."""

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmdata.study import Study
from mmstudy.privacy.attack_run import NO_SHADOWS, attack_run
from mmstudy.settings import load_study
from mmtrain.page.page import render_page
from mmtrain.page.pictures import draw_pictures
from mmtrain.page.reading import read_facts
from mmtrain.page.verdicts import judge
from mmtrain.privacy.finding import Attack, TargetPrivacy, read_privacy
from mmtrain.run import RunDirectory
from tests.conftest import RunMm
from tests.mmstudy.privacy.folds import add_run, make_folds
from tests.mmtrain.conftest import make_tiny_study


def silent(_: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """Show no progress."""
    return nullcontext(lambda done, total: None)


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_folds(tmp_path_factory.mktemp("over") / "study", people=2600, features=1500, penalty=1e-2)


@pytest.fixture(scope="module")
def regularised(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_folds(tmp_path_factory.mktemp("calm") / "study", people=6000, features=10, penalty=10.0)


def attacked(study: Study, run: str = "fold1") -> TargetPrivacy:
    (target,) = attack_run(study, run, "cpu", silent).privacy.targets
    return target


def attack_of(target: TargetPrivacy, name: str) -> Attack:
    return next(attack for attack in target.attacks if attack.name == name)


def test_an_overfitted_run_is_flagged_from_its_files_alone(overfitted: Study) -> None:
    found = attacked(overfitted)
    assert found.level == "strong" and attack_of(found, "loss threshold").figures.auc.value > 0.7
    ratio = attack_of(found, "likelihood ratio")
    assert ratio.shadows == 4 and ratio.figures.auc.low is not None and ratio.figures.auc.low > 0.55
    assert int(found.members.replace(",", "")) > 1000 and int(found.others.replace(",", "")) > 1000


def test_a_regularised_run_is_within_0_05_of_chance(regularised: Study) -> None:
    found = attacked(regularised)
    assert found.level == "little" and not found.notes
    for name in ("loss threshold", "likelihood ratio"):
        assert attack_of(found, name).figures.auc.value == pytest.approx(0.5, abs=0.05)


def test_the_page_says_what_a_run_gives_away(overfitted: Study, regularised: Study) -> None:
    for study, word, title in (
        (overfitted, "it gives away whom it was trained on", "gives_members_away"),
        (regularised, "attacks hardly told members from others", ""),
    ):
        attack_run(study, "fold1", "cpu", silent)
        facts = read_facts(RunDirectory(study.layout.runs / "fold1"), "finished")
        pictures = draw_pictures(facts, exact=False)
        page = render_page(facts, pictures, exact=False).decode()
        assert word in page and "privacy" in pictures.of_targets["age"] and "Not measured" not in page
        assert (title in {verdict.code for verdict in judge(facts).verdicts}) is bool(title)
        assert any("Attacks could hardly tell" in sentence for sentence in judge(facts).assurances) is not bool(title)
    facts = read_facts(RunDirectory(overfitted.layout.runs / "fold2"), "finished")
    assert "mm privacy fold2" in render_page(facts, draw_pictures(facts, exact=False), exact=False).decode()


def test_no_step_of_the_kept_curve_is_of_one_to_nine_people(overfitted: Study) -> None:
    target = attacked(overfitted)
    sizes = [int(text.replace(",", "")) for text in (target.others, target.members)]
    curve = attack_of(target, "loss threshold").figures.curve
    assert curve[-1] == (1.0, 1.0) and len(curve) > 5
    for before, after in zip([(0.0, 0.0), *curve], curve, strict=False):
        for early, late, size in zip(before, after, sizes, strict=True):
            assert late == early or (late - early) * size > 9


def test_runs_of_one_split_or_other_settings_are_no_shadows(regularised: Study, tmp_path: Path) -> None:
    study = load_study(Path(shutil.copytree(regularised.layout.root, tmp_path / "study")))
    for name in ("fold2", "fold3"):
        shutil.rmtree(study.layout.runs / name)
    for name in ("fold4", "fold5"):
        path = study.layout.runs / name / "config.json"
        settings = json.loads(path.read_text())
        settings["train"] |= {"weight_decay": 0.5} if name == "fold4" else {"split": "fold-1/5"}
        path.write_text(json.dumps(settings))
    found = attacked(study)
    assert [attack.name for attack in found.attacks] == ["loss threshold"] and found.notes == [NO_SHADOWS]


def test_a_run_without_training_predictions_is_named_as_one_that_could_help(regularised: Study, tmp_path: Path) -> None:
    study = load_study(Path(shutil.copytree(regularised.layout.root, tmp_path / "study")))
    for number in (2, 5):
        RunDirectory(study.layout.runs / f"fold{number}").training_predictions.unlink()
    found = attacked(study)
    assert "fold2, fold5" in found.notes[-1]


def test_members_of_another_kind_than_others_are_told_of(tmp_path: Path) -> None:
    study = make_folds(tmp_path / "study", people=40, features=3, penalty=1.0)
    rng = np.random.default_rng(0)
    ages = rng.normal(60, 5, 2000)
    splits = np.where(ages + rng.normal(0, 5, 2000) > 58, "train", np.where(rng.random(2000) < 0.5, "val", "test"))
    add_run(study, "older", "without-centre-11025", splits, ages, ages + rng.normal(0, 3, 2000))
    notes = attacked(study, "older").notes
    assert "another centre" in notes[0] and "larger or smaller labels" in notes[1]


def test_with_few_people_nothing_is_said(tmp_path: Path) -> None:
    study = make_folds(tmp_path / "study", people=20, features=3, penalty=1.0)
    found = attacked(study)
    assert (found.level, found.attacks) == ("unknown", []) and found.others == "<10"


def test_a_run_that_kept_none_is_predicted_again_and_keeps_it(run_mm: RunMm, tmp_path: Path) -> None:
    tiny = make_tiny_study(tmp_path / "study", ["train"] * 24 + ["val"] * 12 + ["test"] * 12)
    run = tiny.train(inputs=("connectivity",), model="linear", channels=())
    kept = pl.read_parquet(run.training_predictions)
    run.training_predictions.unlink()
    result = run_mm("--study", tmp_path / "study", "privacy", run.run_id, "--json")
    told = json.loads(result.stdout)
    assert told["predicted_again"] is True and "made from its weights" in result.stderr
    again = pl.read_parquet(run.training_predictions)
    assert again.drop("prediction").equals(kept.drop("prediction"))
    assert again["prediction"].to_numpy() == pytest.approx(kept["prediction"].to_numpy(), abs=1e-4)
    assert told["level"] == read_privacy(run.privacy).level and run.report.exists()
    second = run_mm("--study", tmp_path / "study", "privacy", run.run_id)
    assert "made from its weights" not in second.stderr and "needs 1,000 others" in second.stdout
