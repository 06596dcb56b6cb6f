"""Whether the models can do with the inputs that a sample has, and which models go together."""

from dataclasses import replace

import pytest

from catalog.fields import load_dictionary
from mmbase.names import CONNECTIVITY, METADATA
from mmdata.volume.settings import VolumeSettings
from mmstudy.models.contract import InputContract
from mmstudy.models.find import FoundModel
from mmstudy.predict.inputs import find_faults
from mmstudy.predict.model_set import ModelSet, require_together
from mmtrain.errors import TrainError
from tests.mmstudy.predict.models import model

WEIGHT = load_dictionary()["weight"]


def faults(models: tuple[FoundModel, ...], present: set[str], weight: float = 70.0) -> list[str]:
    return [one.name for one in find_faults(ModelSet(models).wanted, present, {}, {"weight": weight})]


def test_each_of_several_models_needs_an_input_though_it_can_do_without_any_one() -> None:
    one = model("one", ("t1", METADATA), optional=("t1", METADATA))
    other = model("other", ("flair", CONNECTIVITY), optional=("flair", CONNECTIVITY))
    assert faults((one,), {"t1"}) == []
    assert faults((one, other), {"t1", "flair"}) == []
    assert faults((one, other), {"t1"}) == ["no flair", "no connectivity"]


def test_a_sample_without_a_value_that_nothing_stands_for_is_refused_alone() -> None:
    inputs = ("t1", METADATA)
    assert faults((model("published", inputs, mean=None),), set(inputs), weight=float("nan")) == ["no weight"]
    assert faults((model("published", inputs, mean=None),), set(inputs)) == []
    assert faults((model("own", inputs),), set(inputs), weight=float("nan")) == []


def test_models_whose_features_have_one_name_and_two_units_do_not_go_together() -> None:
    kg = model("kg", (METADATA,), InputContract(fields={"weight": WEIGHT}))
    pounds = model("pounds", (METADATA,), InputContract(fields={"weight": replace(WEIGHT, unit="pounds")}))
    require_together([kg, kg])
    with pytest.raises(TrainError, match="kg and pounds have different definitions of weight"):
        require_together([kg, pounds])


def test_a_first_model_without_volumes_hides_no_difference_of_the_others() -> None:
    tabular = model("tabular", (METADATA,))
    brain, volume = (
        model(region, ("t1",), InputContract(volumes=VolumeSettings(clamp_region=region)))
        for region in ("brain", "volume")
    )
    require_together([tabular, brain])
    with pytest.raises(TrainError, match="brain and volume have different preprocessing of volumes"):
        require_together([tabular, brain, volume])
