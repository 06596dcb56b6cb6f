from pathlib import Path
from typing import Any

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
