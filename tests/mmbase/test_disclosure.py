"""The attacker here is independent of the code: linear programs and the null space of what is published."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import null_space
from scipy.optimize import linprog

from mmbase.disclosure import SMALLEST_COUNT, hidden_cells, hidden_places, rounded

Table = NDArray[np.int64]
MAX_HIDDEN_FOR_SUBSETS = 14
COUNTS = st.one_of(st.integers(0, 3), st.integers(0, 14), st.integers(0, 60))


@st.composite
def tables(draw: st.DrawFn, *, max_rows: int = 4, max_columns: int = 4) -> Table:
    shape = draw(st.integers(1, max_rows)), draw(st.integers(1, max_columns))
    table = np.array(draw(st.lists(COUNTS, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))).reshape(shape)
    assume(table.sum() >= SMALLEST_COUNT)
    return table


class Attacker:
    """Knows how many people there are, every published cell of tables of one feature, and of their margins.

    Parameters
    ----------
    tables
        The feature's values by one grouping and by another, of the same people.
    """

    def __init__(self, *tables: Table) -> None:
        cells = [
            (number, *cell) for number, table in enumerate(tables) for cell in sorted(hidden_cells(table.tolist()))
        ]
        self.truth = np.array([tables[number][r, c] for number, r, c in cells], dtype=np.float64)
        hidden_rows = hidden_places(tables[0].sum(axis=1).tolist())
        sums: list[list[float]] = []
        for number, table in enumerate(tables):
            in_table = [cell[0] == number for cell in cells]
            for row in set(range(table.shape[0])) - hidden_rows:
                sums.append([here and cell[1] == row for here, cell in zip(in_table, cells, strict=True)])
            for column in set(range(table.shape[1])) - hidden_places(table.sum(axis=0).tolist()):
                sums.append([here and cell[2] == column for here, cell in zip(in_table, cells, strict=True)])
            sums.append([*in_table])
        for row in hidden_rows if len(tables) > 1 else ():
            sums.append([(1 - 2 * cell[0]) * (cell[1] == row) for cell in cells])
        self.sums = np.array(sums, dtype=np.float64).reshape(len(sums), len(cells))

    def bounds(self, weights: NDArray[np.float64]) -> tuple[float, float]:
        """Return the least and the largest sum of hidden cells that agrees with all that is known.

        With whole totals the extreme tables hold whole numbers, so nothing is lost by linear programming.
        """
        known = self.sums @ self.truth
        ends = [linprog(sign * weights, A_eq=self.sums, b_eq=known, bounds=(0, None)) for sign in (1, -1)]
        assert all(end.success for end in ends)
        return float(ends[0].fun), float(-ends[1].fun)

    def can_find_out(self) -> bool:
        """Say whether a hidden cell of 1 to 9, or a set of hidden cells that counts 1 to 9, is known exactly."""
        if not len(self.truth):
            return False
        ends = np.array([self.bounds(unit) for unit in np.eye(len(self.truth))])
        fixed = np.isclose(ends[:, 0], ends[:, 1])
        if ((self.truth > 0) & (self.truth < SMALLEST_COUNT) & fixed).any():
            return True
        changes = null_space(np.vstack([self.sums, np.diag(fixed.astype(np.float64))]))
        subsets = np.array(list(product((0.0, 1.0), repeat=min(len(self.truth), MAX_HIDDEN_FOR_SUBSETS))))
        padding = np.zeros((len(subsets), len(self.truth) - subsets.shape[1]))
        subsets = np.hstack([subsets, padding])
        known = np.abs(subsets @ changes).max(axis=1, initial=0.0) < 1e-9
        sums = subsets @ self.truth
        return bool((known & (sums > 0) & (sums < SMALLEST_COUNT)).any())


@settings(max_examples=50, deadline=None)
@given(tables())
@example(np.array([[1, 1], [1, 200]]))
@example(np.array([[9, 34], [34, 34]]))
@example(np.array([[5, 0, 0], [0, 5, 0], [0, 0, 300]]))
@example(np.array([[3, 2], [20, 18], [500, 400]]))
@example(np.array([[3, 200], [7, 0], [0, 90]]))
@example(np.array([[4], [6], [30]]))
def test_no_small_cell_and_no_small_sum_can_be_worked_out(table: Table) -> None:
    assert not Attacker(table).can_find_out()


@settings(max_examples=25, deadline=None)
@given(st.lists(COUNTS, min_size=12, max_size=12))
@example([5, 0, 0, 0, 300, 200, 20, 30, 1, 1, 40, 200])
def test_two_tables_of_one_feature_give_away_no_more(counts: list[int]) -> None:
    assume(sum(counts) >= SMALLEST_COUNT)
    by_both = np.array(counts).reshape(3, 2, 2)
    assert not Attacker(by_both.sum(axis=2), by_both.sum(axis=1)).can_find_out()


@settings(max_examples=100, deadline=None)
@given(tables(max_rows=12, max_columns=6))
def test_every_small_cell_is_hidden_and_nothing_where_there_is_none(table: Table) -> None:
    hidden = hidden_cells(table.tolist())
    small = {(int(r), int(c)) for r, c in np.argwhere((table > 0) & (table < SMALLEST_COUNT))}
    assert small <= hidden
    assert small or not hidden


@settings(max_examples=100, deadline=None)
@given(st.lists(COUNTS, min_size=1, max_size=12))
def test_of_a_list_hidden_counts_are_none_or_at_least_two_that_count_ten(counts: list[int]) -> None:
    assume(sum(counts) >= SMALLEST_COUNT)
    hidden = hidden_places(counts)
    assert {place for place, count in enumerate(counts) if 0 < count < SMALLEST_COUNT} <= hidden
    assert not hidden or (len(hidden) > 1 and sum(counts[place] for place in hidden) >= SMALLEST_COUNT)
    assert hidden_cells([[count] for count in counts]) == {(place, 0) for place in hidden}


@settings(max_examples=100, deadline=None)
@given(tables(), st.integers(0, 4))
def test_a_margin_that_is_hidden_is_hidden_from_end_to_end(table: Table, row: int) -> None:
    assume(row < table.shape[0])
    hidden = hidden_cells(table.tolist())
    if row in hidden_places(table.sum(axis=1).tolist()):
        assert {(row, column) for column in range(table.shape[1])} <= hidden


def test_a_lone_small_cell_takes_a_square_of_neighbours_and_no_more() -> None:
    table = [[100, 100, 100], [100, 100, 100], [100, 100, 4]]
    assert hidden_cells(table) == {(1, 1), (1, 2), (2, 1), (2, 2)}


def test_small_cells_apart_are_hidden_apart() -> None:
    table = np.full((4, 4), 100)
    table[0, 0] = table[3, 3] = 5
    assert len(hidden_cells(table.tolist())) == 8


@pytest.mark.parametrize("table", [[[3]], [[3, 2], [1, 0]], [[9], [0]]])
def test_of_fewer_than_ten_people_everything_is_hidden(table: list[list[int]]) -> None:
    assert hidden_cells(table) == set(product(range(len(table)), range(len(table[0]))))


def test_the_attacker_of_these_tests_finds_what_simple_suppression_gives_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def hide_small_cells_only(counts: list[list[int]]) -> set[tuple[int, int]]:
        return {(r, c) for r, row in enumerate(counts) for c, count in enumerate(row) if 0 < count < SMALLEST_COUNT}

    monkeypatch.setattr(f"{__name__}.hidden_cells", hide_small_cells_only)
    assert Attacker(np.array([[50, 60], [40, 3], [70, 80]])).can_find_out()
    assert Attacker(np.array([[5, 3], [40, 30], [70, 80]])).can_find_out()


@pytest.mark.parametrize(("number", "expected"), [(63.4567, 63.5), (0.0123456, 0.0123), (1234.5, 1230.0), (0.0, 0.0)])
def test_a_mean_is_rounded_to_three_digits(number: float, expected: float) -> None:
    assert rounded(number) == expected
