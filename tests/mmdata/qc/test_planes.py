import io
from itertools import product

import numpy as np
import pytest
from matplotlib.image import imread
from nibabel.affines import apply_affine
from scipy.spatial.distance import squareform

from mmdata.qc.pictures import Shading, draw_histogram, draw_matrix, draw_planes, draw_thumbnail, histogram_range
from mmdata.qc.planes import centre_planes, centre_position_mm, matrix_of_edges, shrink_plane
from mmdata.volume.geometry import Grid

GREY = Shading(colormap="gray", low=0.0, high=1.0, label="fraction")
SIDE = 16


def pixels(png: bytes) -> np.ndarray:
    picture: np.ndarray = imread(io.BytesIO(png))
    return picture


@pytest.mark.parametrize("corner", list(product([2, 13], repeat=3)), ids=str)
def test_right_anterior_and_superior_are_where_the_letters_say(corner: tuple[int, int, int]) -> None:
    """A spot in one octant, wide enough to reach the centre planes' neighbours, shows in that corner of each plane."""
    x, y, z = corner
    volume = np.zeros((SIDE, SIDE, SIDE))
    volume[x, y, 8] = volume[x, 8, z] = volume[8, y, z] = 1.0
    picture = pixels(draw_thumbnail(centre_planes(volume), GREY))[..., 0]
    assert picture.shape == (SIDE, 3 * SIDE)
    axial, coronal, sagittal = np.hsplit(picture, 3)
    from_top = SIDE - 1
    assert axial[from_top - y, x] == coronal[from_top - z, x] == sagittal[from_top - z, y] == 1.0


def test_the_planes_of_the_large_picture_are_those_of_the_thumbnail() -> None:
    volume = np.zeros((SIDE, SIDE, SIDE))
    volume[10:14, 10:14, 8] = 1.0
    drawn = pixels(draw_planes(centre_planes(volume), np.zeros(3), GREY))
    axial = drawn[: drawn.shape[0], : int(drawn.shape[1] * 0.284), 0]
    quarters = [
        half.mean() for rows in np.array_split(axial[20:-20, 20:-20], 2) for half in np.array_split(rows, 2, axis=1)
    ]
    assert int(np.argmax(quarters)) == 1, "top right"


@pytest.mark.parametrize("side", [16, 15])
def test_the_position_of_the_planes_is_that_of_the_voxels_shown(side: int) -> None:
    grid = Grid(side=side, spacing_mm=3.0, centre_mm=(0.0, -16.5, 6.5))
    expected = apply_affine(grid.affine_44, [side // 2] * 3)
    position = centre_position_mm(grid.affine_44, (side, side, side))
    assert np.allclose(position, expected)
    assert np.abs(position - grid.centre_mm).max() <= 1.5


@pytest.mark.parametrize("num_regions", [2, 3, 16, 360])
def test_the_matrix_of_edges_is_scipys(num_regions: int) -> None:
    edges = np.random.default_rng(0).normal(size=num_regions * (num_regions - 1) // 2).astype(np.float32)
    matrix = matrix_of_edges(edges)
    assert np.isnan(np.diag(matrix)).all()
    np.fill_diagonal(matrix, 0.0)
    assert (matrix == squareform(edges)).all()


def test_a_shrunk_plane_holds_the_means_of_blocks_without_what_is_not_a_number() -> None:
    plane = np.arange(36, dtype=np.float32).reshape(6, 6)
    plane[0, 0] = np.nan
    shrunk = shrink_plane(plane, 3)
    assert shrunk.shape == (3, 3)
    assert shrunk[0, 0] == pytest.approx(np.mean([1, 6, 7]))
    assert shrunk[2, 1] == pytest.approx(plane[4:, 2:4].mean())
    assert shrink_plane(plane, 6) is plane


@pytest.mark.parametrize("side", [129, 360, 1000])
def test_thumbnails_are_of_bounded_size(side: int) -> None:
    plane = np.random.default_rng(0).random((side, side), np.float32)
    height, width, _ = pixels(draw_thumbnail([plane], GREY)).shape
    assert 64 <= height == width <= 128


def test_a_scan_of_low_contrast_is_not_stretched() -> None:
    dim, bright = (draw_thumbnail([np.full((8, 8), value, np.float32)], GREY) for value in (0.2, 0.9))
    assert pixels(dim)[0, 0, 0] == pytest.approx(0.2, abs=0.01)
    assert pixels(bright)[0, 0, 0] == pytest.approx(0.9, abs=0.01)


def test_equal_input_gives_equal_bytes_and_other_input_other_bytes() -> None:
    rng = np.random.default_rng(0)
    values, plane = rng.normal(size=100), rng.random((9, 9), np.float32)
    nothing = np.array([])
    assert draw_histogram(values, nothing, nothing) == draw_histogram(values, nothing, nothing)
    assert draw_histogram(values, nothing, nothing) != draw_histogram(values, values[:3], nothing)
    assert draw_histogram(values, values[:3], nothing) != draw_histogram(values, values[:3], values[:1])
    assert draw_matrix(plane, GREY) == draw_matrix(plane, GREY) != draw_matrix(1 - plane, GREY)


def test_one_wild_value_does_not_flatten_a_histogram() -> None:
    values = np.append(np.random.default_rng(0).normal(1500, 100, 500), 1e6)
    low, high = histogram_range(values)
    assert low == values.min()
    assert values[:-1].max() < high < 3000
    assert histogram_range(np.array([0.0] * 99 + [1.0])) == (0.0, 1.0)
