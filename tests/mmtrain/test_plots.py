from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from mmtrain.figures import plot_classification, plot_losses, plot_regression

RNG = np.random.default_rng(1)
AGES = RNG.uniform(45, 80, 50)
REGRESSION = {"mae": 4.0, "r2": 0.5, "r": 0.7}
CLASSES = np.repeat([0.0, 1.0], 25)
CLASSIFICATION = {"balanced_accuracy": 0.5, "auc": 0.5}


def require_picture(path: Path) -> None:
    assert path.read_bytes().startswith(b"\x89PNG")
    pixels = imread(path)[..., :3]
    assert min(pixels.shape[:2]) > 300
    assert pixels.var() > 0.001
    assert len(np.unique(pixels.reshape(-1, 3).round(2), axis=0)) > 10


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_the_loss_curve_is_drawn(tmp_path: Path, epochs: int) -> None:
    history = [{"epoch": e, "train_loss": 1 / e, "val_loss": 2 / e} for e in range(1, epochs + 1)]
    plot_losses(history, epochs, "age from t1", tmp_path / "loss.png")
    require_picture(tmp_path / "loss.png")


@pytest.mark.parametrize(
    ("truth", "prediction"),
    [
        (AGES, AGES + RNG.normal(0, 3, 50)),
        (AGES[:2], AGES[:2]),
        (AGES, np.full(50, 60.0)),
        (np.full(5, 60.0), AGES[:5]),
    ],
    ids=["usual", "two samples", "constant prediction", "constant truth"],
)
def test_regression_is_drawn(tmp_path: Path, truth: np.ndarray, prediction: np.ndarray) -> None:
    plot_regression(truth, prediction, REGRESSION, "age (years)", tmp_path / "test.png")
    require_picture(tmp_path / "test.png")


@pytest.mark.parametrize(
    "probability", [RNG.random(50), np.full(50, 0.5), CLASSES], ids=["usual", "constant", "perfect"]
)
def test_classification_is_drawn(tmp_path: Path, probability: np.ndarray) -> None:
    plot_classification(CLASSES, probability, CLASSIFICATION, "sex", tmp_path / "test.png")
    require_picture(tmp_path / "test.png")


def test_the_picture_shows_the_points(tmp_path: Path) -> None:
    # A scatter far from the identity and one on it are different pictures.
    plot_regression(AGES, AGES, REGRESSION, "age", tmp_path / "a.png")
    plot_regression(AGES, AGES[::-1], REGRESSION, "age", tmp_path / "b.png")
    assert (imread(tmp_path / "a.png") != imread(tmp_path / "b.png")).any(axis=2).mean() > 0.01
