"""Volumes as OME-Zarr images: what its own specification, its libraries and zarr make of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from mmdata.errors import StoreError
from mmdata.store.spec import ensure_array
from mmdata.study import Study, StudyConfig, create_study, load_study
from mmdata.study_arrays import array_specs
from mmdata.volume.geometry import apply_affine
from mmdata.volume.settings import VolumeSettings

SIDES = (32, 16)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The group of a modality whose two levels are there."""
    settings = VolumeSettings(sides=SIDES, modalities=("t1",), rows_per_shard=4, centre_mm=(1.0, -16.5, 6.5))
    study = create_study(tmp_path / "study", StudyConfig(salt="salt-of-the-tests-of-images", volumes=settings))
    make_arrays(study)
    return study.layout.volumes / "t1"


def make_arrays(study: Study) -> None:
    for spec in array_specs(study, "t1", 5):
        ensure_array(spec)


def described(image: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((image / "zarr.json").read_bytes())
    return content


def test_scale_and_translation_say_what_the_affine_of_each_level_says(image: Path) -> None:
    multiscale = zarr.open_group(image, mode="r").attrs.asdict()["ome"]["multiscales"][0]
    assert [level["path"] for level in multiscale["datasets"]] == [str(side) for side in SIDES]
    for level in multiscale["datasets"]:
        array = zarr.open_array(image / level["path"], mode="r")
        assert array.metadata.dimension_names == tuple(axis["name"] for axis in multiscale["axes"])
        scale, translation = (
            np.array(transform[transform["type"]]) for transform in level["coordinateTransformations"]
        )
        voxel = np.array([[3.0, 7.0, 11.0]])
        world = apply_affine(np.array(array.attrs["affine_ras"]), voxel)
        np.testing.assert_allclose((scale * [2.0, *voxel[0]] + translation)[1:], world[0], rtol=1e-12)
        assert (scale[0], translation[0]) == (1.0, 0.0)


def test_models_of_ome_zarr_accept_the_image_and_find_its_levels(image: Path) -> None:
    v05 = pytest.importorskip("ome_zarr_models.v05", reason="ome-zarr-models is not installed")
    found = v05.Image.from_zarr(zarr.open_group(image, mode="r"))
    (multiscale,) = found.ome_attributes.multiscales
    assert [axis.name for axis in multiscale.axes] == ["sample", "x", "y", "z"]
    assert [axis.unit for axis in multiscale.axes[1:]] == ["millimeter"] * 3
    assert {dataset.path for dataset in multiscale.datasets} == set(found.members)


def test_the_schemas_of_the_specification_accept_the_image(image: Path) -> None:
    ngff_zarr = pytest.importorskip("ngff_zarr", reason="ngff-zarr is not installed")
    attributes = described(image)["attributes"]
    for strict in (False, True):
        ngff_zarr.validate(attributes, version="0.5", strict=strict)
    from ngff_zarr.rfc4_validation import validate_rfc4_orientation  # noqa: PLC0415

    axes = attributes["ome"]["multiscales"][0]["axes"]
    validate_rfc4_orientation(axes)
    axes[0].pop("type")  # an axis without a type, as the text of the specification has it, is none by its schema
    with pytest.raises(Exception, match="Too many items"):
        ngff_zarr.validate(attributes, version="0.5")


def test_ngff_zarr_reads_places_units_and_orientation(image: Path) -> None:
    ngff_zarr = pytest.importorskip("ngff_zarr", reason="ngff-zarr is not installed")
    # validate=True has a rule of its own, that axes end in z, y, x, which the specification only advises for stacks.
    for level, side in zip(ngff_zarr.from_ngff_zarr(str(image), validate=False).images, SIDES, strict=True):
        affine_44 = np.array(zarr.open_array(image / str(side), mode="r").attrs["affine_ras"])
        assert level.dims == ("sample", "x", "y", "z") and level.data.shape == (5, side, side, side)
        assert [level.scale[name] for name in "xyz"] == np.diag(affine_44)[:3].tolist()
        assert [level.translation[name] for name in "xyz"] == affine_44[:3, 3].tolist()
        assert {level.axes_units[name] for name in "xyz"} == {"millimeter"}
        assert level.axes_orientations["x"].value == "left-to-right"


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "change",
    [
        lambda attributes: attributes.clear(),
        lambda attributes: attributes.update(ome="damaged"),
        lambda attributes: attributes["ome"]["multiscales"][0]["axes"].reverse(),
    ],
    ids=["of an earlier version", "damaged", "changed"],
)
def test_a_group_that_says_something_else_of_its_levels_is_completed(
    tmp_path: Path, image: Path, change: Change
) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    description = described(image)
    change(description["attributes"])
    (image / "zarr.json").write_text(json.dumps(description))
    make_arrays(load_study(tmp_path / "study"))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_study_toml_that_was_changed_leaves_the_group_as_it_is(tmp_path: Path, image: Path) -> None:
    before = (image / "zarr.json").read_bytes()
    path = tmp_path / "study" / "study.toml"
    text = path.read_text()
    path.write_text(text.replace("[1.0, -16.5, 6.5]", "[2.0, -16.5, 6.5]"))
    assert path.read_text() != text
    with pytest.raises(StoreError, match=r"made with other settings \(affine_ras\)"):
        make_arrays(load_study(tmp_path / "study"))
    assert (image / "zarr.json").read_bytes() == before


def test_what_others_say_in_the_group_is_kept(tmp_path: Path, image: Path) -> None:
    description = described(image)
    description["attributes"]["ome"].pop("multiscales")
    description["attributes"]["ome"]["omero"] = {"channels": []}
    description["attributes"]["note"] = "mine"
    (image / "zarr.json").write_text(json.dumps(description))
    make_arrays(load_study(tmp_path / "study"))
    attributes = described(image)["attributes"]
    assert attributes["note"] == "mine" and attributes["ome"].keys() == {"omero", "version", "multiscales"}
