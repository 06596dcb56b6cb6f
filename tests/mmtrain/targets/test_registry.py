import pytest

from mmtrain.errors import TrainError
from mmtrain.targets.registry import load_kind


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(TrainError, match="one of classification, regression, got 'ranking'"):
        load_kind("ranking")
