"""P values of paired differences against all choices of signs, counted."""

import numpy as np
import pytest
from scipy.stats import binom

from mmstudy.comparison.sign_flips import COUNTED, p_values

NUM = 18
SIGNS = ((np.arange(2**NUM)[:, None] >> np.arange(NUM)) & 1) * 2.0 - 1


def counted(difference: np.ndarray) -> float:
    return float((np.abs(SIGNS @ difference) >= abs(difference.sum()) - 1e-9).mean())


@pytest.mark.parametrize("shift", [0.0, 0.4, 0.8])
def test_the_approximate_tail_of_few_participants_is_near_that_of_all_choices_of_signs(shift: float) -> None:
    differences = np.random.default_rng(7).normal(shift, 1, (NUM, 8))
    assert NUM > COUNTED
    expected = np.array([counted(of_pair) for of_pair in differences.T])
    found, seen = p_values(differences), expected > 1e-3  # below, single choices are seen
    assert seen.any()
    np.testing.assert_allclose(found[seen], expected[seen], rtol=0.15)
    np.testing.assert_allclose(np.log(found[~seen]), np.log(expected[~seen]), atol=0.6)


def test_the_approximate_tail_of_errors_with_heavy_tails_is_that_of_drawn_signs() -> None:
    rng = np.random.default_rng(11)
    differences = rng.standard_t(3, (200, 12)) + np.linspace(0, 0.25, 12)
    drawn = np.abs(np.where(rng.random((40_000, 200)) < 0.5, -1.0, 1.0) @ differences)
    expected = (drawn >= np.abs(differences.sum(axis=0))).mean(axis=0)
    found, seen = p_values(differences), expected > 0.02
    assert seen.sum() >= 6
    np.testing.assert_allclose(found[seen], expected[seen], rtol=0.12)


def test_few_participants_that_differ_are_counted_whatever_the_others_are() -> None:
    rng = np.random.default_rng(1)
    few = np.zeros((300, 1))
    few[:COUNTED, 0] = rng.normal(0.5, 1, COUNTED)
    signs = SIGNS[: 2**COUNTED, :COUNTED]
    expected = (np.abs(signs @ few[:COUNTED, 0]) >= abs(few.sum()) - 1e-9).mean()
    assert p_values(few)[0] == expected


@pytest.mark.parametrize(("num", "one_way"), [(40, 30), (100, 60), (100, 80), (400, 230)])
def test_decisions_are_tested_as_by_the_mid_p_value_of_mcnemar(num: int, one_way: int) -> None:
    difference = np.concatenate([np.ones(one_way), -np.ones(num - one_way)])
    mid_p = 2 * binom.sf(one_way - 1, num, 0.5) - binom.pmf(one_way, num, 0.5)
    assert p_values(difference[:, None])[0] == pytest.approx(mid_p, rel=0.15)


def test_the_p_value_is_one_without_a_difference_and_least_where_all_agree() -> None:
    none, all_agree, unknown = np.zeros(50), np.linspace(1, 2, 50), np.full(50, np.nan)
    found = p_values(np.stack([none, all_agree, -all_agree, unknown], axis=1))
    assert found[0] == 1.0 and found[1] == found[2] == 2.0**-49 and np.isnan(found[3])


def test_a_difference_far_out_has_a_small_p_value_that_does_not_depend_on_units() -> None:
    difference = np.random.default_rng(0).normal(0.5, 1, (2000, 1))
    found = p_values(difference)[0]
    assert 1e-120 < found < 1e-60
    assert p_values(1e-6 * difference)[0] == pytest.approx(found, rel=1e-6)
