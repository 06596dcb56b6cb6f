"""The content of a report on the published table, against loops over that table in plain Python.

The table is no part of mm: MM_PUBLISHED_TABLE names a copy, and without it these tests are skipped.
"""

import csv
import math
import os
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from catalog.fields import load_dictionary
from mmstudy.comparison.compare import compare
from mmstudy.comparison.published_table import read_published
from mmstudy.report.content import About, report_content
from mmstudy.results.published import BLOCK_COLUMNS, INPUT_COLUMNS, published_target
from tests.mmstudy.comparison.test_mixed_models import PUBLISHED_TABLE

DICTIONARY = load_dictionary()
BEST = {
    "sex": ("balanced_accuracy", 0.9966, {"dwi", "flair", "t1"}),
    "age": ("r2", 0.859, {"flair", "t1"}),
    "weight": ("r2", 0.625, {"dwi", "flair", "t1"}),
    "body_fat": ("r2", 0.834, {"dwi", "flair", "t1", "constitutional", "psychology", "serology"}),
    "Hb": ("r2", 0.524, {"dwi", "flair", "t1", "constitutional", "disease", "psychology"}),
    "hypertension": ("balanced_accuracy", 0.667, {"constitutional", "serology"}),
}
"""What the publication says of the best models."""
SHOWN_EDGES = 125


@pytest.fixture(scope="module")
def path() -> Path:
    named = os.environ.get(PUBLISHED_TABLE)
    if not named:
        pytest.skip(f"{PUBLISHED_TABLE} does not name a copy of the published table, which is not part of mm")
    return Path(named)


@pytest.fixture(scope="module")
def content(path: Path) -> dict[str, Any]:
    about = About(title="published", source="table", made_on="2026-11-28")
    return report_content(compare(read_published(path, DICTIONARY), None), DICTIONARY, about)


@pytest.fixture(scope="module")
def profiles(path: Path) -> dict[str, dict[str, float]]:
    """Return balanced accuracy by target, as the report names it, and by the columns that say Yes."""
    known = {published_target(name): name for name in DICTIONARY}
    found: dict[str, dict[str, float]] = {}
    for line in csv.DictReader(path.read_text().splitlines()):
        inputs = "".join(line[column][0] for column in (*BLOCK_COLUMNS, *INPUT_COLUMNS))
        found.setdefault(known.get(line["Target"], line["Target"]), {})[inputs] = float(line["Balanced accuracy"])
    return found


def edges_by_name(content: dict[str, Any], name: str) -> dict[frozenset[str], float]:
    (edges,) = [edges for edges in content["edges"] if edges["name"] == name]
    targets = [target["name"] for target in content["targets"]]
    pairs = zip(edges["one"], edges["other"], edges["strength"], strict=True)
    return {frozenset((targets[one], targets[other])): strength for one, other, strength in pairs}


def test_published_edges_are_one_over_the_mean_difference_over_all_sets(
    content: dict[str, Any], profiles: dict[str, dict[str, float]]
) -> None:
    sets = sorted({inputs for profile in profiles.values() for inputs in profile})
    expected = {}
    for one, other in combinations(profiles, 2):
        total = sum(abs(profiles[one].get(of, 0.0) - profiles[other].get(of, 0.0)) for of in sets)
        expected[frozenset((one, other))] = len(sets) / total
    found = edges_by_name(content, "published_distance")
    assert len(sets) == 63 and found.keys() == expected.keys() and len(found) == 300
    assert all(math.isclose(found[pair], expected[pair], rel_tol=1e-4) for pair in expected)
    strongest = sorted(expected, key=lambda pair: -expected[pair])[:SHOWN_EDGES]
    assert set(list(found)[:SHOWN_EDGES]) == set(strongest)


def test_corrected_edges_are_over_the_sets_that_both_targets_have(
    content: dict[str, Any], profiles: dict[str, dict[str, float]]
) -> None:
    expected = {}
    for one, other in combinations(profiles, 2):
        if shared := profiles[one].keys() & profiles[other].keys():
            total = sum(abs(profiles[one][of] - profiles[other][of]) for of in shared)
            expected[frozenset((one, other))] = len(shared) / total
    found = edges_by_name(content, "corrected_distance")
    assert found.keys() == expected.keys()
    assert all(math.isclose(found[pair], expected[pair], rel_tol=1e-4) for pair in expected)


def test_best_models_flags_and_hours_are_those_published(
    content: dict[str, Any], profiles: dict[str, dict[str, float]]
) -> None:
    models, inputs = content["models"], content["inputs"]
    found = {}
    for model in content["best"]["model"]:
        target = content["targets"][models["target"][model]]
        found[target["name"]] = (
            target["metric"],
            models["score"][model],
            {inputs[place]["name"] for place in content["sets"][models["set"][model]]},
        )
    assert len(found) == 25
    for name, (metric, score, of) in BEST.items():
        assert found[name][::2] == (metric, of) and abs(found[name][1] - score) < 6e-4
    assert sum(map(bool, models["predicts_one_class"])) == content["about"]["counts"]["predict_one_class"] == 169
    assert round(content["about"]["hours"], 1) == 3658.9
    assert math.isclose(sum(content["hours"]["hours"]), 3658.9, rel_tol=1e-4)
    assert sum(content["hours"]["num_models"]) == 700
    (highest,) = [node for node in content["nodes"] if node["name"] == "highest_balanced_accuracy"]
    for target, value in zip(content["targets"], highest["values"], strict=True):
        assert math.isclose(value, max(profiles[target["name"]].values()), rel_tol=1e-4)


def test_a_table_says_nothing_that_only_a_study_knows(content: dict[str, Any]) -> None:
    assert not {"data", "calibration", "subgroups"} & content.keys()
    assert all(edges["series"] == 0 for edges in content["edges"])
