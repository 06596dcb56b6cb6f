from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from catalog.export.bins import MAX_BINS, as_date, bin_labels, round_edges, year_edges


@given(st.floats(-1e6, 1e6, allow_subnormal=False), st.floats(1e-3, 1e6), st.booleans())
def test_edges_are_few_round_and_inside_the_bulk(low: float, span: float, is_whole: bool) -> None:
    high = low + span
    edges = round_edges(low, high, is_whole=is_whole)
    assert len(edges) < MAX_BINS
    assert list(edges) == sorted(set(edges))
    margin = 1e-9 * max(abs(low), abs(high))
    assert all(low - margin < edge <= high + margin for edge in edges)
    if is_whole:
        assert all(edge % 1 == 0 for edge in edges)
    if len(edges) > 1:
        assert f"{edges[1] - edges[0]:.0e}"[0] in "125"


@given(st.floats(-1e3, 1e3), st.floats(1, 1e3))
def test_a_wide_bulk_has_at_least_three_bins(low: float, span: float) -> None:
    assert len(round_edges(low, low + span, is_whole=False)) >= 2


def test_a_point_has_one_bin() -> None:
    assert round_edges(3.5, 3.5, is_whole=False) == ()
    assert bin_labels([]) == ("all values",)


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(0, 40_000))
def test_edges_of_dates_are_new_years_days(first: date, num_days: int) -> None:
    low = (first - date(1970, 1, 1)).days
    edges = year_edges(low, low + num_days)
    assert len(edges) < MAX_BINS
    assert all((as_date(edge).month, as_date(edge).day) == (1, 1) for edge in edges)
    assert all(low <= edge <= low + num_days for edge in edges)
    assert as_date(low + 0.5) == first
    assert as_date(low + num_days) == first + timedelta(days=num_days)
