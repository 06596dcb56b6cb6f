"""The methods text of a study follows its settings."""

from dataclasses import replace
from typing import Any

import pytest

from mmdata.study import SplitSettings
from mmdata.volume.settings import ConnectivitySettings, VolumeSettings
from mmstudy.comparison.compare import compare
from mmstudy.report.content import report_content
from mmstudy.report.facts import Association, DataFacts, MeanImage, SplitSize, StudyFacts
from tests.mmstudy.comparison.made_up import table
from tests.mmstudy.report.test_content import ABOUT, DICTIONARY, rows

SETTINGS = {
    **{"side": 64, "augment": "precomputed", "learning_rate": 0.001, "schedule": "cosine", "batch_size": 16},
    **{"epochs": 50, "patience": 10, "weight_penalty": 0.0001, "balance": "weight", "seed": 1},
}
DATA = DataFacts(
    inputs=(),
    splits={
        "train": SplitSize(samples=1100, participants=1000),
        "val": SplitSize(samples=110, participants=100),
        "test": SplitSize(samples=9, participants=9),
    },
    totals=(),
    tables=(),
    associations=(),
    images=(),
)
FACTS = StudyFacts(
    data=DATA,
    tested={},
    settings={row["run_id"]: SETTINGS for row in rows()},
    versions={"torch": ["2.10.0", "2.11.0"]},
    volumes=VolumeSettings(),
    connectivity=ConnectivitySettings(),
    division=SplitSettings(),
    is_synthetic=False,
)


def content_of(facts: StudyFacts) -> dict[str, Any]:
    return report_content(compare(table(rows()), None), DICTIONARY, ABOUT, facts)


def text_of(**changes: Any) -> str:
    return " ".join(content_of(replace(FACTS, **changes))["methods_text"])


def test_participants_are_told_by_split_and_fewer_than_ten_follow_from_nothing() -> None:
    text = text_of()
    assert "has participants: 1,000 for training, some for validation, some for test." in text
    assert "1,109" not in text
    enough = {**DATA.splits, "test": SplitSize(samples=11, participants=10)}
    assert "1,221 imaging visits of 1,110 participants: 1,000 for training" in text_of(
        data=replace(DATA, splits=enough)
    )
    assert "keyed hash (shares 0.1 for validation, 0.1 for test);" in text
    listed = text_of(division=SplitSettings(test_list="list.txt", stratify=("sex", "age"), kinship="rel.dat"))
    assert "Test participants were those of a given list, stratified by sex and age, with relatives" in listed


def test_preprocessing_is_that_of_the_settings() -> None:
    assert "T1, FLAIR and diffusion (FA) were brought to MNI152 by an affine transform" in text_of()
    assert "128³ voxels of 1.5 mm and 64³ voxels of 3 mm; coarser ones are block means" in text_of()
    other = text_of(
        volumes=VolumeSettings(modalities=("t1",), sides=(32,), clamp_region="volume", space="MNI152-nonlinear"),
        connectivity=ConnectivitySettings(enabled=False),
    )
    assert "volumes of T1 were taken as they were warped to MNI152" in other
    assert "(32³ voxels of 6 mm)" in other and "percentile of the whole volume" in other
    assert "Connectivity is" not in other and "Connectivity is 64,620 edges (glasser360" in text_of()


def test_training_is_told_with_all_values_that_its_runs_have() -> None:
    assert "at most 50 epochs, stopped after 10" in text_of() and "Seeds: 1." in text_of()
    first, *others = FACTS.settings
    seeds = {first: {**SETTINGS, "seed": 2, "balance": "none"}, **dict.fromkeys(others, SETTINGS)}
    text = text_of(settings=seeds)
    assert "Seeds: 2 and 1." in text
    assert "left as frequent as they are and the loss weighted the classes" in text
    assert "torch 2.10.0 and 2.11.0" in text


@pytest.mark.parametrize(
    ("augment", "copies", "words"),
    [
        ("precomputed", 4, "from precomputed augmented copies;"),
        ("precomputed", 0, "without augmentation;"),
        ("hybrid", 0, "augmented anew in each epoch;"),
        ("on-device", 0, "augmented anew in each epoch;"),
        ("none", 0, "without augmentation;"),
    ],
)
def test_copies_that_do_not_exist_are_no_augmentation(augment: str, copies: int, words: str) -> None:
    settings = {run: {**SETTINGS, "augment": augment, "copies": copies} for run in FACTS.settings}
    assert words in text_of(settings=settings)


def test_associations_of_labels_become_edges_and_communities_follow_mutual_information() -> None:
    of = Association(
        name="mutual_information", title="mutual information", told="In nats.", strengths={("age", "weight"): 0.4}
    )
    content = content_of(replace(FACTS, data=replace(DATA, associations=[of])))
    (edges,) = [edges for edges in content["edges"] if edges["series"] is None]
    names = [target["name"] for target in content["targets"]]
    assert {names[edges["one"][0]], names[edges["other"][0]]} == {"age", "weight"} and edges["strength"] == [0.4]
    assert content["communities"]["edges"] == "mutual_information"
    (level,) = content["communities"]["levels"]
    assert level[names.index("age")] == level[names.index("weight")] != level[names.index("sex")]
    assert "centrality_mutual_information" in {node["name"] for node in content["nodes"]}


def test_images_are_in_the_content_as_text() -> None:
    image = MeanImage(name="t1", title="T1", num_samples=12, png=b"\x89PNG")
    assert content_of(replace(FACTS, data=replace(DATA, images=[image])))["data"]["images"] == [
        {"name": "t1", "title": "T1", "num_samples": 12, "png": "iVBORw=="}
    ]
