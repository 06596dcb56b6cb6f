from pathlib import Path
from typing import Any

import pytest

from mmtrain.figures import draw_losses


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_the_loss_curve_is_drawn(tmp_path: Path, require_picture: Any, epochs: int) -> None:
    history = [{"epoch": e, "train_loss": 1 / e, "val_loss": 2 / e} for e in range(1, epochs + 1)]
    draw_losses(history, epochs, "age from t1").savefig(tmp_path / "loss.png")
    require_picture(tmp_path / "loss.png")
