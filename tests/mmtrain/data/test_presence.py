import numpy as np
import pytest

from mmtrain.data.presence import draw_given

INPUTS = ("flair", "t1", "dwi", "metadata")
NAMES = [f"{number:016x}" for number in range(4000)]


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_the_share_that_is_left_out_is_the_one_that_is_told(probability: float) -> None:
    given = draw_given(INPUTS, probability, NAMES, seed=1, epoch=1)
    assert given.any(axis=1).all()
    expected = probability - probability**4 / 4
    error = np.sqrt(expected * (1 - expected) / len(NAMES))
    assert 1 - given.mean(axis=0) == pytest.approx(np.full(4, expected), abs=4 * error)


def test_inputs_are_left_out_one_by_one_whatever_becomes_of_the_others() -> None:
    given = draw_given(INPUTS, 0.3, NAMES, seed=1, epoch=1)
    counts = np.bincount(given @ (8, 4, 2, 1), minlength=16) / len(NAMES)
    sizes = np.array([bin(pattern).count("1") for pattern in range(16)])
    expected = 0.7**sizes * 0.3 ** (4 - sizes)
    expected[sizes == 1] += 0.3**4 / 4  # of those that would have none one stays, any with equal chances
    expected[0] = 0
    assert np.abs(counts - expected).max() < 0.02


def test_what_a_sample_is_given_depends_on_seed_epoch_and_sample_alone() -> None:
    together = draw_given(INPUTS, 0.5, NAMES[:50], seed=1, epoch=3)
    alone = [draw_given(INPUTS, 0.5, [name], seed=1, epoch=3)[0] for name in NAMES[:50]]
    np.testing.assert_array_equal(together, alone)
    for changed in ({"seed": 2, "epoch": 3}, {"seed": 1, "epoch": 4}):
        assert 0.3 < (draw_given(INPUTS, 0.5, NAMES[:50], **changed) != together).mean() < 0.7


def test_nothing_is_left_out_with_probability_0() -> None:
    assert draw_given(INPUTS, 0.0, NAMES[:100], seed=1, epoch=1).all()
