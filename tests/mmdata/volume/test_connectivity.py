import gzip

import numpy as np
import pytest
from numpy.typing import NDArray

from mmdata.errors import ScanRejected
from mmdata.volume.connectivity import clean_edges, correlate_regions, parse_edges, parse_timeseries


def series(regions: int = 360, timepoints: int = 60) -> NDArray[np.float64]:
    rng = np.random.default_rng(2)
    shared = rng.normal(size=timepoints)
    return rng.normal(size=(regions, timepoints)) + shared


def table(values: NDArray[np.float64], empty: str = "") -> bytes:
    header = ",".join(["label_name", *(f"timepoint_{i}" for i in range(values.shape[1]))])
    lines = [
        ",".join([f"R_{i}", *(empty if np.isnan(value) else repr(float(value)) for value in row)])
        for i, row in enumerate(values)
    ]
    return gzip.compress("\n".join([header, *lines, ""]).encode(), compresslevel=1)


def test_edges_are_numpys_correlations_row_by_row() -> None:
    values = series()
    edges, num_empty = correlate_regions(values, fisher_z=False)
    assert edges.shape == (64_620,) and edges.dtype == np.float32 and num_empty == 0
    expected = np.corrcoef(values)
    np.testing.assert_allclose(edges[:359], expected[0, 1:], atol=1e-6)
    np.testing.assert_allclose(edges[359 : 359 + 358], expected[1, 2:], atol=1e-6)
    assert edges[-1] == pytest.approx(expected[358, 359], abs=1e-6)
    np.testing.assert_allclose(edges, expected[np.triu_indices(360, 1)], atol=1e-6)


def test_edges_of_three_regions_come_as_01_02_12() -> None:
    values = np.array([[1.0, 2, 3, 4], [4, 3, 2, 1], [1, -1, -1, 1]])
    np.testing.assert_allclose(correlate_regions(values, fisher_z=False)[0], [-1, 0, 0], atol=1e-6)


def test_fisher_z_is_finite_even_between_equal_regions() -> None:
    values = series(4)
    values[3] = values[2]
    edges, _ = correlate_regions(values, fisher_z=True)
    plain, _ = correlate_regions(values, fisher_z=False)
    np.testing.assert_allclose(np.tanh(edges), plain, atol=2e-6)
    assert edges[-1] > 7 and np.isfinite(edges).all()


@pytest.mark.parametrize("value", [np.nan, 0.0, 3.0, 0.1, 1 / 3, 1e6 + 0.3])
def test_regions_without_a_signal_have_edges_of_zero_and_are_counted(value: float) -> None:
    values = series(5, 490)
    values[[1, 3]] = value
    edges, num_empty = correlate_regions(values, fisher_z=False)
    assert num_empty == 2
    pairs = list(zip(*np.triu_indices(5, 1), strict=True))
    assert all((edge == 0) == bool({1, 3} & set(pair)) for edge, pair in zip(edges, pairs, strict=True))


def test_one_nan_in_a_region_empties_only_this_region() -> None:
    values = series(4)
    values[0, 7] = np.nan
    edges, num_empty = correlate_regions(values, fisher_z=False)
    assert num_empty == 1
    np.testing.assert_allclose(edges[3:], np.corrcoef(values[1:])[np.triu_indices(3, 1)], atol=1e-6)


def test_no_signal_at_all_is_rejected() -> None:
    with pytest.raises(ScanRejected, match="empty"):
        correlate_regions(np.zeros((4, 60)), fisher_z=False)


@pytest.mark.parametrize("empty", ["", "nan", "NaN", "NA"])
def test_table_is_read_back_with_its_empty_region(empty: str) -> None:
    values = series()
    values[17] = np.nan
    np.testing.assert_array_equal(parse_timeseries(table(values, empty), 360), values)


@pytest.mark.parametrize(
    ("reason", "content"),
    [
        ("corrupt", b"label_name,timepoint_0\n"),
        ("bad-table", b""),
        ("corrupt", table(series())[:-9]),
        ("bad-table", gzip.compress(b"")),
        ("bad-table", gzip.compress(("name,a,b\n" + "R,1,x\n" * 360).encode())),
        ("bad-table", gzip.compress(b"\xff\xfe\x00,\n\xff,1,2\n")),
        ("bad-dimensions", table(series(359))),
        ("bad-dimensions", table(series(361))),
        ("bad-dimensions", table(series(360, 49))),
        ("bad-dimensions", gzip.compress(b"label_name\nR_1\n")),
    ],
    ids=[
        "not compressed",
        "nothing",
        "cut off",
        "nothing compressed",
        "text",
        "no UTF-8",
        "a region too few",
        "a region too many",
        "too short",
        "no time",
    ],
)
def test_what_is_no_table_of_time_series_is_rejected(reason: str, content: bytes) -> None:
    with pytest.raises(ScanRejected) as caught:
        parse_timeseries(content, 360)
    assert caught.value.reason == reason


def test_gzip_bomb_is_cut_off() -> None:
    with pytest.raises(ScanRejected):
        parse_timeseries(gzip.compress(bytes(1 << 27), compresslevel=1), 360)


def test_edges_of_uk_biobank_are_taken_column_by_column() -> None:
    matrix = np.zeros((21, 21))
    matrix[np.triu_indices(21, 1)] = np.random.default_rng(1).normal(size=210)
    column_by_column = [matrix[i, j] for j in range(21) for i in range(j)]
    text = " ".join(map(repr, map(float, column_by_column))).encode() + b"\n"
    np.testing.assert_array_equal(parse_edges(text, 21), matrix[np.triu_indices(21, 1)].astype(np.float32))


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("bad-dimensions", b"1 2 3 4"),
        ("bad-dimensions", b""),
        ("bad-table", b"1 2 x"),
        ("bad-table", b"\xff\xfe"),
        ("non-finite", b"1 nan 3"),
        ("non-finite", b"1 inf 3"),
    ],
)
def test_what_is_no_line_of_edges_is_rejected(reason: str, text: bytes) -> None:
    with pytest.raises(ScanRejected) as caught:
        parse_edges(text, 3)
    assert caught.value.reason == reason


def test_edges_without_a_number_become_zero_and_their_region_is_counted() -> None:
    edges = np.array([0.5, np.nan, 0.25, np.nan, -0.5, np.nan])  # of 4 regions; the last has no signal
    clean, num_empty = clean_edges(edges[[0, 2, 1, 4, 3, 5]], fisher_z=False)
    np.testing.assert_array_equal(clean, np.float32([0.5, 0.25, 0, -0.5, 0, 0]))
    assert num_empty == 1
    with pytest.raises(ScanRejected, match="empty"):
        clean_edges(np.full(6, np.nan), fisher_z=False)
    with pytest.raises(ScanRejected, match="non-finite"):
        clean_edges(np.array([1.0, np.inf, 0.0]), fisher_z=False)
    with pytest.raises(ScanRejected, match="bad-table"):
        clean_edges(np.array([1.2, 0.5, 0.0]), fisher_z=False)
    np.testing.assert_allclose(
        clean_edges(np.array([0.5, 0.0, -0.5]), fisher_z=True)[0], np.arctanh([0.5, 0, -0.5]), rtol=1e-6
    )
