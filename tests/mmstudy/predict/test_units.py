"""Units of predictions in the schema of their file."""

from types import SimpleNamespace
from typing import Any

import pytest

from mmstudy.predict.table import units_of_columns
from mmtrain.config.data import TargetConfig

AGE, WEIGHT = (
    TargetConfig(name=name, kind="regression", unit=unit) for name, unit in (("age", "years"), ("weight", "kg"))
)
SEX = TargetConfig(name="sex", kind="classification", unit="0 female, 1 male")


@pytest.mark.parametrize(
    ("targets", "unit"), [((AGE,), "years"), ((AGE, AGE), "years"), ((AGE, WEIGHT), None), ((SEX,), "")]
)
def test_columns_have_a_unit_where_all_their_numbers_have_it(
    targets: tuple[TargetConfig, ...], unit: str | None
) -> None:
    predictor: Any = SimpleNamespace(card=SimpleNamespace(targets=targets), thresholds={"sex": 0.5})
    expected = {} if unit is None else dict.fromkeys(("prediction", "lower", "upper"), unit)
    assert units_of_columns(predictor) == expected
