from pathlib import Path
from typing import Any

import pytest

from mmtrain.figures import draw_losses


@pytest.mark.parametrize(("epochs", "least"), [(1, 0.0), (2, 0.0), (30, 0.0), (30, -0.5)])
def test_the_loss_curve_is_drawn_also_where_losses_are_negative(
    tmp_path: Path, require_picture: Any, epochs: int, least: float
) -> None:
    history = [{"epoch": e, "train_loss": 1 / e + least, "val_loss": 2 / e + least} for e in range(1, epochs + 1)]
    draw_losses(history, epochs, "age from t1").savefig(tmp_path / "loss.png")
    require_picture(tmp_path / "loss.png")
