import math

import numpy as np
import pytest

from catalog.audit.agreement import Measurements, Pairs, find_agreeing, measure, num_agreements_needed

NUM_MEASUREMENTS = 20


def draw(num_people: int, *, step: float, correlation: float = 0.0, seed: int = 0) -> np.ndarray:
    """Draw measurements of standard deviation 1 with a last digit of `step`, any two of which are correlated."""
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=(num_people, 1)), rng.normal(size=(num_people, NUM_MEASUREMENTS))
    return np.round((correlation**0.5 * common + (1 - correlation) ** 0.5 * own) / step)


def find(values_NM: np.ndarray, *, least: int = 10) -> Pairs:
    return find_agreeing(measure(values_NM), np.arange(len(values_NM)), least=least, share=0.5)


def pairs_of(found: Pairs) -> set[tuple[int, int]]:
    return set(zip(found.one_P.tolist(), found.other_P.tolist(), strict=True))


def surprises(measured: Measurements) -> np.ndarray:
    """Return the surprise of every pair of people whose measurements are independent."""
    one, other = np.triu_indices(measured.num_people, 1)
    equal = measured.codes_NM[one] == measured.codes_NM[other]
    return np.asarray(np.where(equal, measured.surprise_NM[one], 0).sum(axis=1))


@pytest.mark.parametrize("step", [0.02, 0.2, 1.0])
def test_no_more_pairs_are_so_surprising_than_are_expected_at_most(step: float) -> None:
    measured = measure(draw(400, step=step))
    found = surprises(measured)
    for surprise in np.quantile(found, [0.9, 0.999, 0.9999]):
        assert (found >= surprise).sum() <= measured.expected_pairs(float(surprise))


def test_the_needed_surprise_is_that_of_which_a_hundredth_pair_is_expected() -> None:
    measured = measure(draw(400, step=0.1))
    assert measured.expected_pairs(measured.needed_surprise) == pytest.approx(0.01)
    assert measure(draw(4000, step=0.1)).needed_surprise > measured.needed_surprise


@pytest.mark.parametrize(
    ("num_people", "correlation"), [(100, 0.0), (100, 0.94), (5_000, 0.0), (5_000, 0.94), (30_000, 0.5)]
)
def test_copies_are_found_at_any_size_and_nobody_else(num_people: int, correlation: float) -> None:
    values = draw(num_people, step=0.01, correlation=correlation)
    assert pairs_of(find(values)) == set()
    values[-5:] = values[:5]
    assert pairs_of(find(values)) == {(n, num_people - 5 + n) for n in range(5)}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("step", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("correlation", [0.5, 0.94, 0.99])
@pytest.mark.parametrize("tails", ["normal", "heavy", "skewed"])
def test_coarse_measurements_that_go_together_make_no_copies(
    step: float, correlation: float, tails: str, seed: int
) -> None:
    values = draw(2_000, step=0.001, correlation=correlation, seed=seed) * 0.001
    if tails == "heavy":
        values /= np.sqrt(np.random.default_rng(seed).chisquare(4, (len(values), 1)) / 4)
    elif tails == "skewed":
        values = np.exp(values)
    assert pairs_of(find(np.round(values / step))) == set()


def test_what_is_derived_from_one_number_tells_it_once() -> None:
    rng = np.random.default_rng(1)
    number = rng.integers(0, 500, 2000)
    values = np.stack([number * factor for factor in range(1, NUM_MEASUREMENTS + 1)], axis=1).astype(float)
    assert pairs_of(find(values)) == set()
    assert measure(values).num_measurements == 1


@pytest.mark.parametrize("num_equal", [11, 15, 20])
def test_a_pair_that_agrees_in_more_than_half_is_found_whichever_half_it_is(num_equal: int) -> None:
    values = draw(3000, step=0.005)
    rng = np.random.default_rng(num_equal)
    for copied in range(1000, 1200):
        taken = rng.permutation(NUM_MEASUREMENTS)[:num_equal]
        values[copied, taken] = values[copied - 1000, taken]
    assert pairs_of(find(values)) == {(n - 1000, n) for n in range(1000, 1200)}


def test_missing_values_hide_few_pairs() -> None:
    values = draw(3000, step=0.005)
    values[1000:1200] = values[:200]
    values[np.random.default_rng(2).random(values.shape) < 0.2] = np.nan
    found, copied = pairs_of(find(values)), {(n, n + 1000) for n in range(200)}
    assert found <= copied and len(found) >= 180


def test_everybody_with_the_same_row_is_named() -> None:
    values = draw(3000, step=0.005)
    values[100:150] = values[7]
    found = find(values)
    assert set(np.union1d(found.one_P, found.other_P)) == {7, *range(100, 150)}
    assert len(found.one_P) < math.comb(51, 2)


def test_rows_filled_with_the_mean_are_no_copies() -> None:
    values = draw(3000, step=0.005)
    values[:600, 5:] = 0.0
    assert pairs_of(find(values)) == set()


def test_visits_of_one_person_are_not_compared() -> None:
    values = draw(3000, step=0.005)
    values[1000:1010] = values[:10]
    persons = np.arange(3000)
    persons[1000:1005] = persons[:5]
    found = find_agreeing(measure(values), persons, least=10, share=0.5)
    assert pairs_of(found) == {(n, n + 1000) for n in range(5, 10)}


def test_how_many_agreements_are_needed_grows_with_the_study_and_with_correlation() -> None:
    needed = [num_agreements_needed(measure(draw(n, step=0.05)), least=3) for n in (100, 1000, 10_000)]
    assert needed == sorted(needed) and len(set(needed)) > 1
    few, more = (num_agreements_needed(measure(draw(1000, step=0.1, correlation=r)), least=3) for r in (0.0, 0.9))
    assert few is not None and more is not None and few < more
    assert num_agreements_needed(measure(draw(1000, step=3.0)), least=3) is None


@pytest.mark.parametrize("num_people", [0, 1])
def test_nobody_agrees_with_nobody(num_people: int) -> None:
    assert pairs_of(find(draw(num_people, step=0.1))) == set()
