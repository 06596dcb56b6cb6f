"""What a run is expected to take, from counts and times that are given."""

from typing import Any

import pytest

from mmcli.training_times import TrainingTimes, best_of
from mmtrain.config.run import parse_run_config
from mmtrain.observer import EpochPosition, RunStart
from mmtrain.run import RunDirectory
from tests.mmtrain.conftest import SETTINGS


def times_of(tmp_path: Any, *, epochs: int = 10, patience: int = 3, history: tuple[Any, ...] = ()) -> TrainingTimes:
    config = parse_run_config(SETTINGS | {"inputs": ("t1",), "epochs": epochs, "patience": patience})
    start = RunStart(
        directory=RunDirectory(tmp_path), config=config, max_epochs=epochs, resumed=bool(history), history=history
    )
    return TrainingTimes(start)


def position(epoch: int, steps: int) -> EpochPosition:
    return EpochPosition(epoch=epoch, steps=steps, num_steps=10, samples=steps * 8, num_samples=80)


def entry(epoch: int, val_loss: float) -> dict[str, Any]:
    return {"epoch": epoch, "val_loss": val_loss, "val": {}}


def train_epoch(times: TrainingTimes, epoch: int, begun: float, val_loss: float) -> float:
    """Take ten steps: 5 s for the first, 1 s for each of the others, 2 s for the validation; return when it ends."""
    times.note_step(position(epoch, 0), begun)
    for step in range(1, 11):
        times.note_step(position(epoch, step), begun + 4 + step)
    times.note_validation(begun + 14)
    times.note_epoch(entry(epoch, val_loss), begun + 16)
    return begun + 16


def test_the_rate_leaves_out_the_first_step(tmp_path: Any) -> None:
    times = times_of(tmp_path)
    times.note_step(position(1, 0), 0.0)
    times.note_step(position(1, 1), 100.0)
    assert times.samples_per_second is None and times.training_seconds_left(100.0) is None
    assert times.outlook(100.0).limit_seconds is None
    times.note_step(position(1, 3), 104.0)
    assert times.samples_per_second == pytest.approx(16 / 4)
    assert times.training_seconds_left(104.0) == pytest.approx(56 / 4)
    assert times.training_seconds_left(106.0) == pytest.approx(56 / 4 - 2)
    assert times.training_seconds_left(1000.0) == 0.0


def test_the_first_epoch_is_taken_for_all_others(tmp_path: Any) -> None:
    times = times_of(tmp_path, epochs=10, patience=3)
    times.note_step(position(1, 0), 0.0)
    for step in range(1, 6):
        times.note_step(position(1, step), float(step))
    outlook = times.outlook(5.0)
    assert (outlook.patience_epoch, outlook.limit_epoch) == (3, 10)
    assert outlook.patience_seconds == pytest.approx(5 + 2 * 10)
    assert outlook.limit_seconds == pytest.approx(5 + 9 * 10)


def test_later_epochs_take_as_long_as_the_last_with_its_validation(tmp_path: Any) -> None:
    times = times_of(tmp_path, epochs=10, patience=3)
    now = train_epoch(times, 1, 0.0, 0.5)
    assert now == 16.0
    assert times.outlook(now).limit_seconds == pytest.approx(9 * 16)
    times.note_step(position(2, 0), now)
    assert times.outlook(now + 1).limit_seconds == pytest.approx(15 + 8 * 16)  # no step yet: as the last epoch
    times.note_step(position(2, 1), now + 1)
    times.note_step(position(2, 2), now + 2)
    assert times.outlook(now + 2).limit_seconds == pytest.approx(8 + 2 + 8 * 16)
    times.note_validation(now + 10)
    assert times.outlook(now + 10.5).limit_seconds == pytest.approx(1.5 + 8 * 16)


@pytest.mark.parametrize(
    ("losses", "patience_epoch"), [([0.5], 4), ([0.5, 0.4], 5), ([0.4, 0.5], 4), ([0.4, 0.4], 4), ([0.5] * 3, 4)]
)
def test_patience_runs_out_where_training_itself_would_stop(
    tmp_path: Any, losses: list[float], patience_epoch: int
) -> None:
    """As `mmtrain.train.has_epochs_left`: an equal loss is no better one."""
    times = times_of(tmp_path, epochs=10, patience=3)
    now = 0.0
    for epoch, loss in enumerate(losses, start=1):
        now = train_epoch(times, epoch, now, loss)
    outlook = times.outlook(now)
    assert outlook.patience_epoch == patience_epoch
    assert outlook.patience_seconds == pytest.approx((patience_epoch - len(losses)) * 16)


def test_a_resumed_run_knows_its_best_epoch_and_not_yet_its_speed(tmp_path: Any) -> None:
    history = (entry(1, 0.5), entry(2, 0.25), entry(3, 0.75))
    times = times_of(tmp_path, epochs=4, history=history)
    times.note_step(position(4, 6), 0.0)
    times.note_step(position(4, 7), 1.0)
    times.note_step(position(4, 8), 3.0)
    outlook = times.outlook(3.0)
    assert (outlook.patience_epoch, outlook.limit_epoch) == (4, 4)
    assert outlook.limit_seconds == pytest.approx(16 / 4)
    times.note_validation(9.0)
    times.note_epoch(entry(4, 0.1), 11.0)
    assert times.outlook(11.0).limit_seconds is None or times.outlook(11.0).limit_seconds == 0.0


def test_the_best_epoch_is_the_first_of_the_smallest_loss() -> None:
    history = [entry(1, 0.5), entry(2, 0.25), entry(3, 0.25), entry(4, float("nan"))]
    assert best_of(history) is history[1]
    assert best_of([]) is None
