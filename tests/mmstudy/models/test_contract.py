"""What a model takes for granted of its inputs, as it is written down and found again."""

import json
from pathlib import Path

import pytest

from catalog.fields import load_dictionary
from mmdata.volume.settings import ConnectivitySettings, VolumeSettings
from mmstudy.models.contract import InputContract, read_contract, write_contract
from mmtrain.errors import TrainError


def make_contract() -> InputContract:
    return InputContract(
        volumes=VolumeSettings(dwi_map="MD", sides=(128, 64, 32), clamp_region="volume"),
        connectivity=ConnectivitySettings(name="tian16", fisher_z=True),
        fields=load_dictionary(),
        assumed={"dwi-map": "which map stood for diffusion is not published; FA is taken"},
    )


def test_a_contract_comes_back_as_it_was_written(tmp_path: Path) -> None:
    for contract in (make_contract(), InputContract()):
        write_contract(tmp_path / "contract.json", contract)
        assert read_contract(tmp_path / "contract.json") == contract


def test_a_contract_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    write_contract(path, make_contract())
    path.write_text(path.read_text().replace('"MD"', '"FA"'))
    with pytest.raises(TrainError, match="not as it was written"):
        read_contract(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "schema_version 2"),
        ({"contract": {"volumes": {"extent_mm": "wide"}}}, r"damaged \(contract.volumes.extent_mm"),
        ({"contract": {"surprise": 1}}, r"damaged \(contract.surprise"),
    ],
)
def test_a_contract_of_another_shape_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "contract.json"
    path.write_text(json.dumps({"schema_version": 1, "contract": {}, **change}))
    with pytest.raises(TrainError, match=message):
        read_contract(path)


def test_a_missing_contract_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"The bundle has no contract\.json"):
        read_contract(tmp_path / "contract.json")
