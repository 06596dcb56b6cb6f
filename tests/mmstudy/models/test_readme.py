"""The README of a bundle says what the card, the contract and the results say, in words for people."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from catalog.fields import load_dictionary
from mmdata.volume.settings import ConnectivitySettings, VolumeSettings
from mmstudy.models.contract import InputContract
from mmstudy.models.readme import Readme, render_readme
from mmtrain.bundle import BundleDirectory
from mmtrain.bundles.results import GroupResults, Measured, Remark, SplitSize, TargetResults, ToldResults
from mmtrain.data.scaling import FeatureScaler
from mmtrain.targets.kinds import regression
from tests.made_card import make_card

CARD = make_card(
    volumes=("t1", "dwi"),
    side=64,
    num_edges=64_620,
    features=FeatureScaler(("LDL", "sex"), (3.5678, 0.47), (0.75, 0.5), (True, False)),
    kinds={"age": regression.Kind(45.0, 80.0)},
    stores={"t1": {"affine_ras": np.diag([3.0, 3.0, 3.0, 1.0]).tolist()}},
    versions={"mm": "0.2.0", "torch": "2.10.0"},
)
CONTRACT = InputContract(
    volumes=VolumeSettings(sides=(64,), dwi_map="MD"),
    connectivity=ConnectivitySettings(),
    fields={name: load_dictionary()[name] for name in ("age", "LDL")},
)
RESULTS = ToldResults(
    headline="Believe this result with care",
    remarks=[Remark(level="care", title="Few people were tested", meaning="The test split has 40 people.")],
    assurances=["Better than guessing."],
    cohort={
        "train": SplitSize(samples="1,200", participants="1,100"),
        "test": SplitSize(samples="<10", participants="<10"),
    },
    age_years={"0.05": 48.0, "0.25": 55.0, "0.5": 63.0, "0.75": 70.0, "0.95": 78.0},
    targets=[
        TargetResults(
            name="age",
            unit="years",
            metrics={
                "val": {"mae": Measured(value=3.1)},
                "test": {"mae": Measured(value=3.25, low=3.0, high=3.51), "r2": Measured(value=0.71)},
            },
            baseline={"mae": 7.1, "r2": 0.0},
            groups=[GroupResults(by="sex", group="1", n=600, metrics={"mae": Measured(value=3.4)})],
        )
    ],
)
README = Readme(card=CARD, contract=CONTRACT, results=RESULTS, onnx_note="", licence="", citation="", date="2026-01-02")


def render(**changes: Any) -> str:
    return render_readme(replace(README, **changes)).decode()


@pytest.mark.parametrize(
    "expected",
    [
        "# age from T1, diffusion, connectivity, tabular data",
        "**Not for diagnosis.**",
        "| age | a number, in years |",
        "Grid: 64 voxels along each edge, 3 mm each; axes run to the right, to the front and upwards.",
        "Diffusion: the map MD (mean diffusivity).",
        "clamped to percentiles 0.5 and 99.5 of the brain",
        "glasser360: Glasser HCP-MMP, right hemisphere first, 360 regions, of UK Biobank field 31016.",
        "| LDL | mmol/L | 30780 | 3.57 ± 0.75 |",
        "**Believe this result with care.**",
        "**Few people were tested** (with care). The test split has 40 people.",
        "| MAE (years) | 3.25 (3 to 3.51) | 7.1 | 3.1 |",
        "| sex: 1 | 600 | 3.4 |",
        "| test | <10 | <10 |",
        "median 63 years, half of them between 55 and 70, nine in ten between 48 and 78",
        "Not stated. Ask whoever made this bundle",
        "on 2026-01-02",
    ],
)
def test_the_readme_says(expected: str) -> None:
    assert expected in render()


def test_the_readme_says_nothing_of_features_that_are_not_shown() -> None:
    assert "| sex |" not in render()


def test_the_head_is_yaml_whatever_the_licence_holds() -> None:
    licence = 'ours: "all" # of it\n---\nlicense: mit'
    head = yaml.safe_load(render(licence=licence).split("\n---\n")[0].removeprefix("---\n"))
    assert head["license"] == "other" and head["license_name"] == licence
    assert head["metrics"] == ["mae", "r2"] and head["library_name"] == "mm"
    assert "license" not in yaml.safe_load(render().split("\n---\n")[0].removeprefix("---\n"))


def test_a_model_of_unknown_results_says_so_and_lists_what_is_assumed() -> None:
    contract = replace(CONTRACT, assumed={"order": "Columns are taken in the order of the paper's table."})
    text = render(results=None, contract=contract)
    assert "Nothing is known here of how good this model is" in text
    assert "**order**: Columns are taken in the order of the paper's table." in text
    assert "None" not in text and "trained with mm" not in text and "figures above" not in text


def test_axes_that_run_to_the_left_are_told(bundle: Path) -> None:
    card = replace(CARD, stores={"t1": {"affine_ras": np.diag([-1.0, 1.0, 1.0, 1.0]).tolist()}})
    assert "axes run to the left, to the front and upwards" in render(card=card)
    assert "axes run to the right" in BundleDirectory(bundle).readme.read_text()


def test_lines_between_sections_are_single_and_no_template_is_left(bundle: Path) -> None:
    for text in (render(), render(results=None), BundleDirectory(bundle).readme.read_text()):
        assert "\n\n\n" not in text and "{{" not in text and "{%" not in text
        assert text.endswith(".\n")


def test_an_onnx_file_is_said_to_need_what_the_model_itself_can_do_without() -> None:
    assert "it does not predict from fewer" not in render()
    optional = render(card=replace(CARD, optional_inputs=CARD.inputs))
    assert (
        "A person may lack" in optional and "all of them for every person: it does not predict from fewer" in optional
    )
