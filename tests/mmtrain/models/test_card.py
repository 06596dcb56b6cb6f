import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbase.names import INPUTS
from mmtrain.config.data import TargetConfig
from mmtrain.data.scaling import FeatureScaler
from mmtrain.errors import TrainError
from mmtrain.models.card import CARD_VERSION, ModelCard, parse_card, read_card, write_card
from mmtrain.models.protocol import NetworkShape
from mmtrain.models.trained import load_model
from mmtrain.targets.kinds import binned, classification, regression
from mmtrain.targets.several import Targets
from mmtrain.task import describe_model

VERSION_1 = Path(__file__).with_name("card_version_1.json")
"""Of the settings below, as mm wrote it before there were several networks."""
EVERYTHING = {
    "inputs": ("t1", "connectivity", "metadata"),
    "metadata_blocks": ("serology", "constitutional"),
    "features": ("HDL", "LDL", "sex"),
    "shown_features": ("LDL", "sex"),
}

finite = st.floats(allow_nan=False, allow_infinity=False)
above_0 = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8)
fitted = st.one_of(
    st.builds(regression.Kind, finite, finite), st.builds(binned.Kind, finite, finite), st.just(classification.Kind())
)  # class weights are of use in training alone


@st.composite
def cards(draw: st.DrawFn) -> ModelCard:
    """Return a card of any inputs and targets."""
    kinds = draw(st.lists(fitted, min_size=1, max_size=3))
    targets = tuple(TargetConfig(name=f"{draw(names)}{i}", kind=kind.name, unit="") for i, kind in enumerate(kinds))
    features = draw(st.lists(names, unique=True, max_size=3))
    num = len(features)
    of_features = [draw(st.lists(values, min_size=num, max_size=num)) for values in (finite, above_0, st.booleans())]
    return ModelCard(
        network=draw(st.sampled_from(["fusion", "densenet121", "linear"])),
        shape=NetworkShape(
            volumes=tuple(draw(st.sets(st.sampled_from(["flair", "t1", "dwi"])))),
            side=draw(st.sampled_from([32, 64, 128])),
            num_edges=draw(st.integers(0, 10**5)),
            num_features=2 * len(features),
            num_outputs=sum(kind.num_outputs for kind in kinds),
            parameters=draw(st.sampled_from([{}, {"channels": [4, 8]}])),
        ),
        targets=targets,
        fitted=Targets(tuple(target.name for target in targets), tuple(kinds), (1.0,) * len(kinds)),
        inputs=tuple(draw(st.sets(st.sampled_from(INPUTS), min_size=1))),
        features=FeatureScaler(
            tuple(features), *map(tuple, of_features), draw(st.sampled_from(["standardised", "raw"]))
        ),
        volume_scaling=draw(st.sampled_from(["stored", "min-max"])),
        stores={"t1": {"affine_ras": [[1.0, 0.0], [0.0, 1.0]], "codec": "zstd"}},
        trained_on={"n": {"train": 3}, "seed": 7},
        versions={"mm": "1"},
    )


@settings(deadline=None)
@given(cards())
def test_a_card_survives_the_file(card: ModelCard) -> None:
    assert parse_card(json.loads(json.dumps(card.to_json()))) == card


@pytest.mark.parametrize(
    "given", [{"inputs": ("t1", "flair")}, {"inputs": ("connectivity",)}, EVERYTHING], ids=["volumes", "edges", "all"]
)
def test_the_card_of_a_run_survives_the_file(tiny: Any, tmp_path: Path, given: dict[str, Any]) -> None:
    card = describe_model(tiny.prepare(**given))
    write_card(tmp_path / "model.json", card)
    read = read_card(tmp_path / "model.json", {})
    assert read == ModelCard(**{**{name: getattr(card, name) for name in card.__slots__}, "fitted": read.fitted})
    assert read.fitted.kinds == card.fitted.kinds and read.fitted.names == card.fitted.names


def test_a_card_names_nobody_and_says_what_the_model_was_trained_on(tiny: Any) -> None:
    card = describe_model(tiny.prepare(**EVERYTHING)).to_json()
    assert card["schema_version"] == CARD_VERSION
    assert card["trained_on"] == {
        "n": {"train": 26, "val": 7, "test": 7},
        "split": "study",
        "augment": "precomputed",
        "augmented_copies": 2,
        "seed": 1337,
    }
    assert set(card["versions"]) >= {"python", "mm", "torch"}
    assert not any(f"{i:016x}" in json.dumps(card) for i in range(40))


@pytest.fixture(scope="module")
def run(tiny: Any) -> Any:
    """A finished run with all kinds of inputs."""
    return tiny.train(**EVERYTHING, epochs=1)


def inputs_of(num: int) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    return {
        "volumes": {"t1": rng.integers(0, 65536, (num, 8, 8, 8)).astype(np.uint16)},
        "connectivity": rng.normal(size=(num, 12)).astype(np.float32),
        "features": {
            "HDL": np.full(num, np.nan),
            "LDL": rng.uniform(40, 80, num),
            "sex": [0.0, np.nan, *[1.0] * (num - 2)],
        },
    }


def test_a_card_of_version_1_gives_the_same_predictions(run: Any, tmp_path: Path) -> None:
    shutil.copy(run.model, tmp_path / "model.safetensors")
    shutil.copy(VERSION_1, tmp_path / "model.json")
    old, new = load_model(tmp_path), load_model(run.path)
    assert old.card.shape == new.card.shape
    assert old.card.targets == new.card.targets and old.card.features == new.card.features
    np.testing.assert_array_equal(old.predict(**inputs_of(5))["age"], new.predict(**inputs_of(5))["age"])


def test_a_card_of_version_2_knew_one_way_to_scale(run: Any, tmp_path: Path) -> None:
    content = json.loads(run.model_card.read_text()) | {"schema_version": 2}
    del content["feature_scaling"], content["volume_scaling"]
    (tmp_path / "model.json").write_text(json.dumps(content))
    old, new = read_card(tmp_path / "model.json", {}), read_card(run.model_card, {})
    assert (old.features, old.volume_scaling) == (new.features, "stored")


def test_a_card_of_version_3_knew_no_input_that_may_be_missing(run: Any, tmp_path: Path) -> None:
    content = json.loads(run.model_card.read_text()) | {"schema_version": 3}
    del content["optional_inputs"]
    (tmp_path / "model.json").write_text(json.dumps(content))
    assert read_card(tmp_path / "model.json", {}).optional_inputs == ()


def test_a_card_of_version_1_of_a_binary_target_has_no_scaling(tmp_path: Path) -> None:
    card = json.loads(VERSION_1.read_text()) | {"target": "sex", "kind": "classification", "target_scaling": None}
    (tmp_path / "model.json").write_text(json.dumps(card | {"inputs": ["connectivity"]}))
    read = read_card(tmp_path / "model.json", {"mlp_connectivity.dense_layers.0.weight": (128, 210)})
    assert (read.shape.num_outputs, read.shape.num_edges, read.shape.num_features) == (2, 210, 0)
    assert (read.fitted.kinds, read.shape.volumes) == ((classification.Kind(),), ())


def damage(content: dict[str, Any], *path: Any, value: Any = None) -> str:
    """Return the text of a card in which something is left out, or has another value."""
    part = content
    for key in path[:-1]:
        part = part[key]
    if value is None:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("network",), None, r"model\.json is damaged \(network: Field required\)"),
        (("network", "side"), None, r"is damaged \(side: Field required\)"),
        (("network", "side"), "wide", r"is damaged \(side: .*integer\)"),
        (("network", "volumes"), 3, r"is damaged \(volumes: .*array\)"),
        (("targets", 0, "scaling", "low"), None, r"is damaged \(low: Field required\)"),
        (("features", 0, "mean"), "much", r"is damaged \(mean: .*number\)"),
        (("features", 0, "shown"), "no", r"is damaged \(shown: .*boolean\)"),
        (("inputs",), "t1", r"is damaged \(inputs: .*array\)"),
        (("schema_version",), None, r"is damaged \(schema_version: Field required\)"),
        (("schema_version",), 5, r"has schema_version 5; this mm reads up to 4\. Use a newer mm"),
        (("schema_version",), 0, r"has schema_version 0"),
        (("feature_scaling",), "rank", r"is damaged \(feature_scaling: .*raw"),
        (("volume_scaling",), 2, r"is damaged \(volume_scaling: .*min-max"),
        (
            ("targets", 0, "kind"),
            "ranking",
            "kind of a target to be one of binned, classification, regression, got 'ranking'",
        ),
    ],
)
def test_a_card_that_cannot_be_used_is_refused_in_one_line(
    tiny: Any, tmp_path: Path, path: tuple[Any, ...], value: Any, message: str
) -> None:
    content = json.loads(json.dumps(describe_model(tiny.prepare(**EVERYTHING)).to_json()))
    (tmp_path / "model.json").write_text(damage(content, *path, value=value))
    with pytest.raises(TrainError, match=message) as caught:
        read_card(tmp_path / "model.json", {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1]", "{", "null", "\x00\xff"])
def test_what_is_no_card_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(TrainError, match=r"model card .*model\.json is damaged") as caught:
        read_card(tmp_path / "model.json", {})
    assert "\n" not in str(caught.value)


def test_a_card_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"There is no model card .*model\.json"):
        read_card(tmp_path / "model.json", {})
