"""Published checkpoints become models that predict what their network does, and checkpoints again, bit for bit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from catalog.fields import load_dictionary
from mmbase.errors import MmError
from mmdata.errors import StudyError
from mmdata.study import Study, create_study, parse_config
from mmstudy.models.contract import InputContract
from mmstudy.models.find import FoundModel, find_model
from mmstudy.models.published import folder_in_study, import_checkpoint
from mmstudy.models.published_card import REFERENCE_COLUMNS, SCALED_UNIT, Stated
from mmstudy.models.published_export import export_checkpoint
from mmtrain.errors import TrainError
from mmtrain.models.trained import load_model, read_model_card
from mmtrain.published.checkpoint import read_checkpoint
from mmtrain.published.trained_inputs import find_trained_inputs
from mmtrain.weights import load_reference_checkpoint
from tests.mmtrain.conftest import make_tiny_study
from tests.mmtrain.published.checkpoints import SHORT, Described, save_checkpoint

CPU = torch.device("cpu")
GLASSER_EDGES = 64_620
VOLUMES = Described(inputs=("flair", "t1"))
EVERYTHING = Described(edges=GLASSER_EDGES)
AGE = Stated(target="age")
BLOCKS = ("disease", "serology")


def imported(folder: Path, described: Described, stated: Stated) -> FoundModel:
    """Return a model of a checkpoint, as somebody without a study finds it."""
    save_checkpoint(folder / "best.pt", described)
    import_checkpoint(folder / "best.pt", folder / "model", stated, load_dictionary())
    return find_model(None, str(folder / "model"))


def scans(names: Sequence[str], side: int = 64, num: int = 2) -> dict[str, NDArray[np.float32]]:
    """Return volumes from 0, the background, to something below 1."""
    rng = np.random.default_rng(9)
    return {name: rng.uniform(0, 0.9, (num, side, side, side)).astype(np.float32) for name in names}


def as_published(volumes: dict[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """Z-score and min-max scale each volume; stack FLAIR, T1, DWI, zeros where there is none."""
    some = next(iter(volumes.values()))
    channels = []
    for name in ("flair", "t1", "dwi"):
        if name not in volumes:
            channels.append(np.zeros(some.shape))
            continue
        scores = [(one - one.mean()) / one.std() for one in volumes[name].astype(np.float64)]
        channels.append(np.stack([2 * (one - one.min()) / (one.max() - one.min()) - 1 for one in scores]))
    return np.stack(channels, axis=1)


def logits(path: Path, **inputs: Any) -> NDArray[np.float64]:
    with torch.no_grad():
        return load_reference_checkpoint(path)(**inputs).double().numpy()


@pytest.mark.parametrize("given_range", [None, (45.0, 80.0)])
def test_a_model_of_volumes_predicts_what_the_published_network_does(
    tmp_path: Path, given_range: tuple[float, float] | None
) -> None:
    model = imported(tmp_path, VOLUMES, Stated(target="age", target_range=given_range))
    volumes = scans(("t1", "flair"))
    outputs = logits(tmp_path / "best.pt", imaging=as_published(volumes))[:, 0]
    expected = outputs if given_range is None else 45 + (outputs + 1) / 2 * 35
    np.testing.assert_allclose(model.load(CPU).predict(volumes=volumes)["age"], expected, atol=1e-4)
    assert model.card.inputs == ("flair", "t1")
    assert model.card.targets[0].unit == (SCALED_UNIT if given_range is None else "years")
    assert ("rank people" in model.contract.assumed["target-scaling"]) == (given_range is None)


def test_a_model_of_everything_predicts_probabilities_of_the_second_output(tmp_path: Path) -> None:
    described = Described(edges=GLASSER_EDGES, outputs=2)
    model = imported(tmp_path, described, Stated(target="asthma", metadata_blocks=("serology", "psychology")))
    rng = np.random.default_rng(4)
    columns = [name for name in REFERENCE_COLUMNS if name != "asthma"]
    shown = {name for name in columns if load_dictionary()[name].block in ("serology", "psychology")}
    features = {name: rng.normal(size=2) for name in columns}
    volumes, edges = scans(("flair", "t1", "dwi")), rng.normal(size=(2, GLASSER_EDGES)).astype(np.float32)

    zeroed = np.stack([features[name] if name in shown else np.zeros(2) for name in columns], axis=1)
    given = {"imaging": as_published(volumes), "connectivity": edges, "metadata": zeroed}
    likely = 1 / (1 + np.exp(-logits(tmp_path / "best.pt", **given)))
    known = {name: features[name] for name in shown}
    predicted = load_model(model.path).predict(volumes=volumes, connectivity=edges, features=known)["asthma"]
    np.testing.assert_allclose(predicted, likely[:, 1] / likely.sum(axis=1), atol=1e-4)


def test_a_sample_that_lacks_a_column_is_refused_by_its_name(tmp_path: Path) -> None:
    described = Described(inputs=("metadata",), columns=2)
    stated = Stated(target="age", metadata_names=("Hb", "LDL"), metadata_blocks=("serology",))
    model = imported(tmp_path, described, stated).load(CPU)
    predicted = model.predict(features={"Hb": [14.0, 13.0], "LDL": [3.0, 4.0]})["age"]
    assert np.isfinite(predicted).all()
    with pytest.raises(TrainError, match="A sample lacks LDL, and it is not known"):
        model.predict(features={"Hb": [14.0, 13.0], "LDL": [3.0, np.nan]})
    assert model.card.features.unfilled(np.array([[14.0, np.nan], [14.0, 3.0]])).tolist() == [
        [False, True],
        [False, False],
    ]


def test_the_contract_is_the_grid_and_the_way_of_the_reference(tmp_path: Path) -> None:
    model = imported(tmp_path, Described(inputs=("t1", "dwi")), AGE)
    settings = model.contract.volumes
    assert settings is not None
    assert (settings.clamp_region, settings.clamp_percentiles) == ("volume", (0.5, 99.5))
    assert model.card.volume_scaling == "min-max"
    for modality in ("t1", "dwi"):
        affine = np.asarray(model.card.stores[modality]["affine_ras"])
        grid = settings.grid(64).affine_44
        assert affine[0, 0] == -grid[0, 0] == pytest.approx(-2 / 0.7)
        # The first voxel of one is the last of the other along x, and the same along y and z.
        np.testing.assert_allclose((affine @ [63, 5, 9, 1])[:3], (grid @ [0, 5, 9, 1])[:3])
    assert set(model.contract.assumed) == {"grid", "percentiles", "dwi", "target-scaling"}
    assert model.contract.connectivity is None and set(model.contract.fields) == {"age"}


def test_the_contract_of_connectivity_and_metadata_says_what_is_assumed(tmp_path: Path) -> None:
    described = Described(edges=GLASSER_EDGES, inputs=("connectivity", "metadata"))
    contract = imported(tmp_path, described, Stated(target="age", metadata_blocks=BLOCKS)).contract
    assert contract.volumes is None
    assert contract.connectivity is not None and contract.connectivity.name == "glasser360"
    blocks = {definition.block for name, definition in contract.fields.items() if name != "age"}
    assert blocks == set(BLOCKS)
    assert "disease, serology" in contract.assumed["metadata-blocks"]
    assert {"connectivity", "metadata-order", "metadata-missing"} <= set(contract.assumed)


@pytest.mark.parametrize(
    ("described", "stated"),
    [
        (VOLUMES, AGE),
        (Described(inputs=("metadata",)), Stated(target="age", metadata_blocks=BLOCKS)),
        (EVERYTHING, Stated(target="age", metadata_blocks=BLOCKS)),
    ],
    ids=["volumes", "metadata", "everything"],
)
def test_import_and_export_give_the_same_tensors_bit_for_bit(
    tmp_path: Path, described: Described, stated: Stated
) -> None:
    weights = save_checkpoint(tmp_path / "best.pt", described, prefix="module.")
    path = tmp_path / "best.pt"
    for turn in range(2):
        import_checkpoint(path, tmp_path / f"model{turn}", stated, load_dictionary())
        path = tmp_path / f"again{turn}.pt"
        export_checkpoint(find_model(None, str(tmp_path / f"model{turn}")), path, overwrite=False)
    saved = torch.load(path, weights_only=True)
    exported = {
        f"{block}.{name}": tensor
        for block in ("cnn", "mlp_connectivity", "mlp_metadata", "mlp_logits")
        for name, tensor in saved[f"{block}_state_dict"].items()
    }
    assert exported.keys() == weights.keys()
    assert all(exported[name].numpy().tobytes() == weights[name].numpy().tobytes() for name in weights)
    assert saved["epoch"] == 7 and saved["list_of_validation_losses_per_epoch"] == [0.75, 0.5]
    assert {"optimizer_state_dict", "scaler_state_dict", "list_of_training_times_per_epoch"} <= saved.keys()


def test_a_run_is_written_with_untrained_blocks_for_what_it_does_not_have(tmp_path: Path) -> None:
    run = make_tiny_study(tmp_path / "study").train(inputs=("t1",), epochs=2)
    card = read_model_card(run.path)
    found = FoundModel(name="age", path=run.path, card=card, contract=InputContract(), is_run=True)
    export_checkpoint(found, tmp_path / "run.pt", overwrite=False)

    checkpoint = read_checkpoint(tmp_path / "run.pt")
    kept = load_model(run.path).network.state_dict()
    assert all(torch.equal(checkpoint.tensors[name], tensor) for name, tensor in kept.items())
    assert (checkpoint.shape.num_edges, checkpoint.shape.num_features) == (GLASSER_EDGES, 24)
    assert find_trained_inputs(checkpoint.tensors, checkpoint.inputs).of("trained") == ("t1",)
    counts = {name: int(x) for name, x in checkpoint.tensors.items() if name.endswith("num_batches_tracked")}
    assert {name.split(".")[0] for name, count in counts.items() if count == 0} == {"mlp_connectivity", "mlp_metadata"}
    assert len(checkpoint.curves["validation_losses"]) == 2 and checkpoint.epoch in (1, 2)

    volumes = scans(("t1",), side=8)
    only_t1 = np.zeros((2, 3, 8, 8, 8))
    only_t1[:, 1] = 2 * volumes["t1"] - 1
    outputs = card.fitted.predictions(logits(tmp_path / "run.pt", imaging=only_t1))[:, 0]
    np.testing.assert_allclose(load_model(run.path).predict(volumes=volumes)["age"], outputs, atol=1e-3)


def test_what_a_user_had_to_say_of_a_checkpoint_is_not_written_as_if_it_were_known(tmp_path: Path) -> None:
    short = imported(tmp_path, Described(inputs=("t1",), batches=SHORT), Stated(target="age", inputs=("t1",)))
    export_checkpoint(short, tmp_path / "mm.pt", overwrite=False)
    assert read_checkpoint(tmp_path / "mm.pt").inputs == ()
    with pytest.raises(TrainError, match="--inputs"):
        import_checkpoint(tmp_path / "mm.pt", tmp_path / "again", AGE, load_dictionary())


def test_a_model_of_another_network_is_not_written(tmp_path: Path) -> None:
    run = make_tiny_study(tmp_path / "study").train(inputs=("connectivity",), model="constant", channels=())
    card = read_model_card(run.path)
    found = FoundModel(name="age", path=run.path, card=card, contract=InputContract(), is_run=True)
    with pytest.raises(TrainError, match="got constant on connectivity"):
        export_checkpoint(found, tmp_path / "run.pt", overwrite=False)
    assert not (tmp_path / "run.pt").exists()


REFUSED: dict[str, tuple[Described, Stated, str]] = {
    "untrained block": (VOLUMES, Stated(target="age", inputs=("flair", "t1", "metadata")), "not trained on metadata"),
    "untrained channel": (VOLUMES, Stated(target="age", inputs=("flair", "t1", "dwi")), "not trained on dwi"),
    "left out": (VOLUMES, Stated(target="age", inputs=("flair",)), "trained on t1 too"),
    "unknown input": (VOLUMES, Stated(target="age", inputs=("flare", "t1")), "Did you mean flair"),
    "unclear": (
        Described(inputs=("t1",), batches=SHORT),
        AGE,
        "do not say clearly .* flair, t1, dwi: after 40 batches",
    ),
    "no training": (Described(inputs=()), AGE, "trained on no input"),
    "unknown target": (VOLUMES, Stated(target="aeg"), "Did you mean age"),
    "another kind": (VOLUMES, Stated(target="sex"), "sex is binary, for which 2 outputs"),
    "range of classes": (
        Described(inputs=("t1",), outputs=2),
        Stated(target="sex", target_range=(0, 1)),
        "has classes and no range",
    ),
    "falling range": (VOLUMES, Stated(target="age", target_range=(80, 45)), "a range that rises, got 80 to 45"),
    "names without metadata": (VOLUMES, Stated(target="age", metadata_names=("sex",)), "not trained on metadata"),
    "no blocks": (Described(inputs=("metadata",)), AGE, "do not say which groups of columns"),
    "own block alone": (
        Described(inputs=("metadata",)),
        Stated(target="age", metadata_blocks=("constitutional",)),
        "left out as input to it",
    ),
    "too few names": (
        Described(inputs=("metadata",)),
        Stated(target="age", metadata_names=("sex", "LDL"), metadata_blocks=BLOCKS),
        "24 columns of metadata, each of its own name; got 2 names",
    ),
    "columns of z-scores": (
        Described(inputs=("metadata",), columns=48),
        AGE,
        "48 columns of metadata, each of its own name; got 24 names.*mm export-model",
    ),
    "an unknown column": (
        Described(inputs=("metadata",), columns=1),
        Stated(target="age", metadata_names=("LDLL",), metadata_blocks=BLOCKS),
        "'LDLL' is not in the field dictionary. Did you mean LDL",
    ),
    "other edges": (Described(inputs=("connectivity",), edges=12), AGE, "64,620 edges; the checkpoint takes 12"),
    "another side": (Described(side=32, channels=(2, 2, 2, 2), inputs=("t1",)), AGE, "the checkpoint's side is 32"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_the_weights_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    described, stated, told = REFUSED[name]
    save_checkpoint(tmp_path / "best.pt", described)
    with pytest.raises(MmError, match=told):
        import_checkpoint(tmp_path / "best.pt", tmp_path / "model", stated, load_dictionary())
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]


def test_inputs_that_the_weights_leave_open_are_taken_from_whoever_says_them(tmp_path: Path) -> None:
    model = imported(tmp_path, Described(inputs=("t1",), batches=SHORT), Stated(target="age", inputs=("t1",)))
    assert model.card.shape.volumes == ("t1",)
    assert "trained on t1" in model.contract.assumed["inputs"]


def test_a_model_is_replaced_only_when_asked_for_and_other_folders_never(tmp_path: Path) -> None:
    imported(tmp_path, VOLUMES, AGE)
    with pytest.raises(StudyError, match="--overwrite"):
        import_checkpoint(tmp_path / "best.pt", tmp_path / "model", AGE, load_dictionary())
    weight = Stated(target="weight")
    import_checkpoint(tmp_path / "best.pt", tmp_path / "model", weight, load_dictionary(), overwrite=True)
    assert find_model(None, str(tmp_path / "model")).card.targets[0].name == "weight"

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(StudyError, match="holds more than a bundle"):
        import_checkpoint(tmp_path / "best.pt", tmp_path / "other", AGE, load_dictionary(), overwrite=True)
    assert (tmp_path / "other" / "thesis.tex").exists()


def test_what_a_killed_import_left_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / "model.tmp").mkdir()
    (tmp_path / "model.tmp" / "model.safetensors").write_bytes(b"half")
    imported(tmp_path, VOLUMES, AGE)
    assert not (tmp_path / "model.tmp").exists()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return create_study(tmp_path / "study", parse_config({"salt": "salt-of-a-tiny-study"}, "test"))


def test_a_study_keeps_its_models_in_a_folder_and_finds_them_by_name(study: Study, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "best.pt", VOLUMES)
    where = folder_in_study(study, "published-age")
    import_checkpoint(tmp_path / "best.pt", where, AGE, load_dictionary())
    assert where.parent == study.layout.models
    assert find_model(study, "published-age").card.inputs == ("flair", "t1")


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden"])
def test_a_name_that_is_no_name_is_refused(study: Study, name: str) -> None:
    with pytest.raises(TrainError, match="cannot be called"):
        folder_in_study(study, name)
