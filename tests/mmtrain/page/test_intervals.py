import numpy as np
import pytest
from scipy.stats import pearsonr

from mmtrain.aggregates.scored import Scored
from mmtrain.page.intervals import auc_interval, closed_form_intervals, correlation_interval, r2_interval


def test_the_interval_of_a_correlation_is_scipys() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=80)
    y = 0.5 * x + rng.normal(size=80)
    found, expected = correlation_interval(pearsonr(x, y).statistic, 80), pearsonr(x, y).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_the_interval_of_an_area_is_that_of_the_papers_example() -> None:
    # Hanley and McNeil 1982: 0.893 of 51 abnormal and 58 normal images has a standard error of 0.032.
    found = auc_interval(0.893, 51, 58)
    assert (found.width / 2) / 1.96 == pytest.approx(0.032, abs=0.001)


def test_an_interval_narrows_with_people_and_stays_below_1() -> None:
    assert r2_interval(0.8, 1000).width < r2_interval(0.8, 100).width
    assert r2_interval(0.99, 10).high <= 1 and auc_interval(1.0, 5, 5).high == 1


def test_visits_of_one_person_count_once_and_a_few_people_have_no_interval() -> None:
    truth = np.tile([0.0, 1.0], 20)
    once = Scored(truth=truth, prediction=truth, participants=np.arange(40))
    twice = Scored(truth=truth, prediction=truth, participants=np.arange(40) % 20)
    few = Scored(truth=truth, prediction=truth, participants=np.arange(40) % 8)
    widths = [closed_form_intervals({"r": 0.5}, data)["r"].width for data in (once, twice)]
    assert widths[0] < widths[1] and closed_form_intervals({"r": 0.5}, few) == {}
