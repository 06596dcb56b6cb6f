"""Who the cells of a sweep are trained on, and why some cannot be."""

import json
from pathlib import Path
from typing import Any

import pytest

from catalog.database import open_in_place
from mmdata.study import Study
from mmstudy.settings import load_study
from mmstudy.sweep.plan import SweepPlan, plain_plan
from mmstudy.sweep.planning import plan_sweep
from mmstudy.sweep.settings import SweepSettings
from mmtrain.errors import TrainError
from tests.conftest import RunMm

TWO_SETS = (("flair",), ("dwi",))


def plan_of(study: Path | Study, **settings: Any) -> SweepPlan:
    """Return the plan of a sweep of few models."""
    opened = load_study(study) if isinstance(study, Path) else study
    return plan_sweep(opened, SweepSettings(**{"baselines": (), **settings}))


def test_a_plan_names_every_model_of_the_reference_and_counts_networks_and_baselines(
    study: Path, run_mm: RunMm
) -> None:
    result = run_mm("--study", study, "sweep", "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    plan = json.loads(result.stdout)
    assert len(plan["models"]) == 700
    assert {(len(of["n"]) == 3) != bool(of["reason"]) for of in plan["models"]} == {True}
    trainable = [of for of in plan["models"] if not of["reason"]]
    assert (plan["trainable"], plan["networks"], plan["baselines"]) == (
        len(trainable),
        len(trainable),
        3 * len(trainable),
    )


def test_all_cells_of_a_target_have_the_samples_that_a_run_of_their_union_has(own_study: Study, run_mm: RunMm) -> None:
    plan = plan_of(own_study, targets=("age",), input_sets=TWO_SETS)
    assert plan.required_inputs == ("flair", "dwi")
    assert plan.cells[0].population.participants == plan.cells[1].population.participants != {}
    words = ("train", "--target", "age", "--inputs", "flair,dwi", "--dry-run", "--json")
    result = run_mm("--study", own_study.layout.root, *words)
    assert result.exit_code == 0, result.output
    assert plan.cells[0].population.n == json.loads(result.stdout)["n"]


def test_each_its_own_gives_a_cell_every_sample_that_has_its_inputs(study: Path) -> None:
    shared, own = (plan_of(study, targets=("age",), input_sets=TWO_SETS, each_its_own=of) for of in (False, True))
    assert own.required_inputs == ()
    assert sum(own.cells[0].population.n.values()) > sum(shared.cells[0].population.n.values())
    assert own.cells[0].population.participants != own.cells[1].population.participants


def test_a_cell_whose_scans_the_study_has_not_says_so_and_takes_no_samples_from_others(own_study: Study) -> None:
    with open_in_place(own_study.layout.catalog) as catalog:
        catalog.execute("UPDATE scan_outcome SET status = 'rejected' WHERE modality = 'dwi'")
    plan = plan_of(own_study, targets=("age",), input_sets=(("flair",), ("flair", "dwi")))
    assert plan.required_inputs == ("flair",)
    assert [of.population.reason for of in plan.cells] == ["", "The study has no dwi stored."]
    assert [job.inputs for job in plan.jobs] == [("flair",)]


def test_a_models_own_group_of_features_is_never_shown(study: Path) -> None:
    plan = plan_of(study, targets=("age",), input_sets=(("flair", "constitutional"), ("flair", "serology")))
    assert ["belongs to" in of.population.reason for of in plan.cells] == [True, False]


def test_every_network_reads_as_many_copies_as_all_volumes_have(study: Path) -> None:
    """The tests' study has two copies of every volume at side 32."""
    plan = plan_of(study, targets=("age",), input_sets=TWO_SETS)
    assert plan.settings.train["copies"] == 2
    assert plan.settings.train["balance"] == "weight"
    assert (
        plan_of(study, targets=("age",), input_sets=TWO_SETS, train={"augment": "none"}).settings.train.get("copies")
        is None
    )


def test_a_network_that_cannot_take_a_cells_inputs_is_left_out_and_told(study: Path) -> None:
    sets = (("flair",), ("flair", "connectivity"))
    plan = plan_of(study, targets=("age",), input_sets=sets, networks=("fusion", "resnet18"))
    assert [(job.network, job.inputs) for job in plan.jobs] == [
        ("fusion", ("flair",)),
        ("fusion", ("flair", "connectivity")),
        ("resnet18", ("flair",)),
    ]
    assert plan.notes == ("1 models are left out: resnet18 cannot take their inputs",)
    assert plain_plan(plan)["networks"] == 3


def test_a_sweep_has_the_studys_own_seed_unless_it_is_asked_for_others(own_study: Study) -> None:
    own_study.config.train["seed"] = 7
    assert plan_of(own_study, targets=("age",), input_sets=TWO_SETS).settings.seeds == (7,)
    assert plan_of(own_study, targets=("age",), input_sets=TWO_SETS, seeds=(1, 2)).settings.seeds == (1, 2)


def test_targets_that_would_lose_samples_by_sharing_a_network_are_refused(own_study: Study) -> None:
    """A validated person without weight, whose relative trains, takes the relative from the training of both."""
    from_age = plan_of(own_study, targets=("age", "weight"), input_sets=(("flair",),), methods=("shared",))
    assert [job.targets for job in from_age.jobs] == [("age", "weight")]
    with open_in_place(own_study.layout.catalog) as catalog:
        people = "SELECT participant_key FROM samples JOIN splits USING (sample_id) JOIN scans USING (sample_id) "
        people += "WHERE split = '{}' AND modality = 'flair' AND status = 'stored' ORDER BY row"
        validated, trained = (catalog.execute(people.format(split)).fetchone() for split in ("val", "train"))
        assert trained is not None
        assert validated is not None
        catalog.execute("INSERT INTO kinship VALUES (?, ?, 0.25)", (validated[0], trained[0]))
        catalog.execute(
            "DELETE FROM feature WHERE name = 'weight' AND row IN (SELECT row FROM samples WHERE participant_key = ?)",
            validated,
        )
    with pytest.raises(TrainError, match=r"One network for age, weight .* networks of weight have alone"):
        plan_of(own_study, targets=("age", "weight"), input_sets=(("flair",),), methods=("shared",))


def test_every_job_has_the_participants_of_its_own_fold(study: Path) -> None:
    plan = plan_of(study, targets=("age", "weight"), input_sets=(("flair",),), methods=("shared", "frozen"), folds=5)
    folds = {(job.name.split("_")[0], job.fold): dict(job.participants) for job in plan.jobs}
    assert all(set(of) <= {"age", "weight"} and of for of in folds.values())
    assert len({folds["shared", fold]["age"] for fold in range(1, 6)}) == 5
    assert all(folds["trunk", fold] == folds["shared", fold] for fold in range(1, 6))


def test_planning_writes_nothing(own_study: Study) -> None:
    before = sorted(path for path in own_study.layout.root.rglob("*"))
    plan_of(own_study)
    assert sorted(path for path in own_study.layout.root.rglob("*")) == before


@pytest.mark.parametrize("words", [("--target", "agee"), ("--inputs", "t2"), ("--method", "sharde"), ("--seeds", "x")])
def test_what_is_not_known_is_refused_before_anything_is_planned(
    words: tuple[str, ...], study: Path, run_mm: RunMm
) -> None:
    result = run_mm("--study", study, "sweep", "--dry-run", *words)
    assert result.exit_code == 1
    assert words[1] in result.output
