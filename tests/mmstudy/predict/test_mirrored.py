"""When a brain counts as mirrored."""

import pytest

from mmstudy.models.usual import Usual
from mmstudy.predict.deviations.volume import flip_limit


def asymmetry(median: float, spread: float = 0.5, people: int = 100) -> Usual:
    """Return what people have in common."""
    return Usual(people=people, median=median, below=spread, above=spread)


def test_the_limit_lies_between_people_and_their_mirror_images() -> None:
    limit = flip_limit(asymmetry(2.0))
    assert limit is not None
    assert -2.0 < limit < 2.0 - 2.5 * 0.5


@pytest.mark.parametrize(
    "usual",
    [
        pytest.param(None, id="not known"),
        pytest.param(asymmetry(0.2), id="as large as people's differences"),
        pytest.param(asymmetry(-2.0), id="the reverse of what the template has"),
        pytest.param(asymmetry(1.0, people=10), id="few people"),
    ],
)
def test_where_most_mirrored_brains_would_pass_none_is_looked_for(usual: Usual | None) -> None:
    assert flip_limit(usual) is None
