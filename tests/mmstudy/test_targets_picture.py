from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray

from catalog.errors import CatalogError
from catalog.targets import FeatureSummary, SplitSummary
from mmstudy.targets_picture import draw_features, write_picture

WHITE = 1.0


def feature(kind: str, counts: tuple[int, ...], **more: object) -> FeatureSummary:
    """Summarise a feature whose splits are alike."""
    summary = FeatureSummary(
        name=f"a_{kind}_feature",
        kind=kind,
        unit="$ and $ [kg]",
        block="",
        is_target=True,
        fields=(1,),
        n=3 * sum(counts),
        missing=0.25,
        mean=50.0,
        sd=4.0,
        percentiles={50: 17000.0},
        edges=(),
        values=(),
        counts=tuple(3 * count for count in counts),
        num_distinct=3,
        days_from_scan=None,
        splits={split: SplitSummary(n=sum(counts), missing=0.25, counts=counts) for split in ("train", "val", "test")},
    )
    return replace(summary, **more)


CONTINUOUS = feature("continuous", (1, 5, 2), edges=(40.0, 50.0, 60.0, 70.0))
FEATURES = [
    CONTINUOUS,
    feature("binary", (3, 5), values=(0.0, 1.0)),
    feature("categorical", (2, 2, 9), values=(1.0, 2.0, 11025.0)),
    feature("date", (4, 4), edges=(16800.0, 17200.0, 17600.0)),
    feature("date", (4,), edges=(16802.0, 16803.0)),
    feature("continuous", (0,), n=0, edges=()),
    feature("binary", (0, 0), values=(0.0, 1.0), n=0),
]


def pixels(picture: bytes) -> NDArray[np.float32]:
    """Return a picture's colours as height × width × 3 numbers from 0 to 1."""
    read: NDArray[np.float32] = imread(BytesIO(picture))[:, :, :3]
    return read


def test_every_kind_of_feature_is_drawn_and_nothing_touches_the_edges() -> None:
    picture = pixels(draw_features(FEATURES))
    assert all((border == WHITE).all() for border in (picture[:8], picture[-8:], picture[:, :8], picture[:, -8:]))
    panels = np.array_split(picture[80:], 2)[0]
    assert all((panel < 0.9).any() for panel in np.array_split(panels, 5, axis=1))


def test_equal_features_give_equal_bytes() -> None:
    assert draw_features(FEATURES) == draw_features(FEATURES)
    assert draw_features(FEATURES) != draw_features(FEATURES[1:])


@pytest.mark.parametrize(("number", "panels"), [(1, (1, 1)), (5, (5, 1)), (6, (5, 2)), (0, (1, 0))])
def test_panels_stand_in_lines_of_five(number: int, panels: tuple[int, int]) -> None:
    one, taller = pixels(draw_features([CONTINUOUS])), pixels(draw_features([CONTINUOUS] * 6))
    panel_height, panel_width = taller.shape[0] - one.shape[0], one.shape[1]
    height, width, _ = pixels(draw_features([CONTINUOUS] * number)).shape
    assert width == panels[0] * panel_width
    assert abs(height - (one.shape[0] + (panels[1] - 1) * panel_height)) <= 1


def test_the_splits_can_be_told_apart_by_colour() -> None:
    moved = {
        split: replace(CONTINUOUS.splits[split], counts=counts)
        for split, counts in (("train", (8, 0, 0)), ("val", (0, 8, 0)), ("test", (0, 0, 8)))
    }
    picture = pixels(draw_features([replace(CONTINUOUS, splits=moved)]))
    for red, green, blue in ((169, 198, 232), (224, 129, 47), (43, 52, 64)):
        assert (np.abs(picture * 255 - (red, green, blue)).max(axis=2) < 2).sum() > 50


def test_only_a_png_is_written_and_over_nothing(tmp_path: Path) -> None:
    path = tmp_path / "targets.png"
    write_picture(FEATURES, path)
    assert path.read_bytes() == draw_features(FEATURES)
    with pytest.raises(CatalogError, match="exists"):
        write_picture(FEATURES, path)
    with pytest.raises(CatalogError, match=r"ends in \.png"):
        write_picture(FEATURES, tmp_path / "targets.pdf")
