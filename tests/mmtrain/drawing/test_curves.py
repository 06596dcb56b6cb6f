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


def test_an_axis_of_epochs_has_whole_numbers_also_of_one_epoch() -> None:
    (axes,) = draw_losses([{"epoch": 1, "train_loss": 0.7, "val_loss": 0.6}], 1).figure.axes
    assert np.array_equal(axes.get_xticks(), np.round(axes.get_xticks())) and 1 in axes.get_xticks()
