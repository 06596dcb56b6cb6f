from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmtrain.drawing.curves import draw_losses
from mmtrain.drawing.figures import to_png


@pytest.mark.parametrize(("epochs", "least"), [(1, 0.0), (2, 0.0), (30, 0.0), (30, -0.5)])
def test_the_loss_curve_is_drawn_also_where_losses_are_negative(
    tmp_path: Path, require_picture: Any, epochs: int, least: float
) -> None:
    history = [{"epoch": e, "train_loss": 1 / e + least, "val_loss": 2 / e + least} for e in range(1, epochs + 1)]
    (tmp_path / "loss.png").write_bytes(to_png(draw_losses(history, epochs).figure))
    require_picture(tmp_path / "loss.png")


def test_an_axis_of_losses_is_linear_and_says_what_it_leaves_out() -> None:
    def draw(first: float) -> tuple[Any, str]:
        losses = [first, *(0.5 * 0.9**step for step in range(30))]
        history = [{"epoch": e, "train_loss": x, "val_loss": x} for e, x in enumerate(losses, start=1)]
        picture = draw_losses(history, 31)
        (axes,) = picture.figure.axes
        return axes, picture.caption

    (whole, plain), (cut, told) = draw(0.6), draw(50.0)
    assert whole.get_yscale() == cut.get_yscale() == "linear"
    assert whole.get_ylim()[1] > 0.6 and "outside the picture" not in plain
    assert cut.get_ylim()[1] < 2 and f"Losses above {cut.get_ylim()[1]:.3g} lie outside the picture" in told


def test_an_axis_of_epochs_has_whole_numbers_also_of_one_epoch() -> None:
    (axes,) = draw_losses([{"epoch": 1, "train_loss": 0.7, "val_loss": 0.6}], 1).figure.axes
    assert np.array_equal(axes.get_xticks(), np.round(axes.get_xticks())) and 1 in axes.get_xticks()
