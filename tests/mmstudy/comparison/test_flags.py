"""What speaks against a model: its interval reaches the score of guessing, or it is not told apart from a baseline."""

from typing import Any

import numpy as np
import pytest

from mmstudy.comparison.compare import compare
from mmstudy.comparison.contest import SEED
from mmstudy.comparison.drawing.grid import draw_grid, panels_of
from mmstudy.comparison.flags import FLAGS
from mmstudy.sweep.cells import Cell
from mmtrain.data.order import derive_seed
from mmtrain.drawing.figures import to_svg
from mmtrain.metrics.bootstrap import draw_people
from tests.mmstudy.comparison.made_up import MadeUp, Values, score_row, table

N = 200
X = Cell(target="x", inputs=("t1",))
MARKS = {flag.name: flag.mark for flag in FLAGS}


def flags_of(rows: list[dict[str, Any]], reader: MadeUp | None, name: str) -> list[bool | None]:
    return compare(table(rows), reader).results[name].to_list()


@pytest.mark.parametrize(
    ("kind", "low", "flagged"),
    [
        ("continuous", 0.001, False),
        ("continuous", 0.0, True),
        ("continuous", -0.2, True),
        ("binary", 0.501, False),
        ("binary", 0.5, True),
        ("binary", None, None),
    ],
)
def test_a_score_whose_interval_reaches_that_of_guessing_is_not_above_chance(
    kind: str, low: float | None, flagged: bool | None
) -> None:
    row = score_row(X, 0.55, kind=kind, score_low=low, score_high=None if low is None else 0.6)
    assert flags_of([row], None, "not_above_chance") == [flagged]


def test_several_runs_of_a_model_have_the_interval_of_the_mean_of_their_scores() -> None:
    rng = np.random.default_rng(7)
    truth = rng.normal(0, 1, N)
    reader = MadeUp(truth, {f"{seed}": truth + rng.normal(0, 0.9, N) for seed in range(3)})
    rows = [
        score_row(X, _r2(truth, of), run_id=run, seed=int(run), val_score=0.1, score_low=-1.0, score_high=1.0)
        for run, of in reader.predictions.items()
    ]
    results = compare(table(rows), reader).results
    drawn = [
        np.repeat(np.arange(N), counts.astype(int))
        for block in draw_people(N, N, derive_seed(SEED, "comparison", "x", 0))
        for counts in block
    ]
    means = [np.mean([_r2(truth[of], run[of]) for run in reader.predictions.values()]) for of in drawn]
    (ends,) = set(results.select("mean_low", "mean_high").iter_rows())
    assert ends == pytest.approx(np.quantile(means, [0.025, 0.975]).tolist(), rel=1e-9)
    assert results["not_above_chance"].to_list() == [ends[0] <= 0] * 3
    assert flags_of(rows[:1], reader, "not_above_chance") == [True]


def test_a_network_is_flagged_whose_score_is_not_told_apart_from_the_best_baseline_of_its_cell() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(0, 1, N)
    noise = {"baseline": 0.6, "near": 0.59, "far": 0.2}
    reader = MadeUp(truth, {name: truth + rng.normal(0, size, N) for name, size in noise.items()})
    rows = [
        score_row(X, _r2(truth, of), run_id=name, val_score=0.5, **_series(name))
        for name, of in reader.predictions.items()
    ]
    found = compare(table(rows), reader)
    assert dict(found.results.select("run_id", "not_told_apart").iter_rows()) == {
        "baseline": None,
        "near": True,
        "far": False,
    }
    assert found.counts["not_told_apart_from_baseline"] == 1
    assert dict(found.best.select("network", "not_told_apart").iter_rows())["near"]
    assert flags_of(rows, None, "not_told_apart") == [None, None, None]


def test_the_drawn_grid_marks_each_model_with_its_gravest_flag_and_says_what_marks_mean() -> None:
    grave = {"predicts_one_class": True, "score_low": 0.5, "score_high": 0.5}
    rows = [
        score_row(X, 0.5, kind="binary", **grave),
        score_row(Cell(target="y", inputs=("t1",)), 0.1, score_low=-0.1, score_high=0.3),
    ]
    found = compare(table(rows), None)
    panels = panels_of(found.results, found.best)
    assert [cell.mark for panel in panels for cell in panel.cells.values()] == [
        MARKS["predicts_one_class"],
        MARKS["not_above_chance"],
    ]
    svg = to_svg(draw_grid(panels, "title")).decode()
    assert all(flag.title in svg for flag in FLAGS)


def test_a_published_table_has_no_flag_that_needs_intervals_or_predictions() -> None:
    found = compare(table([score_row(X, 0.1, method="published", network="")]), None)
    assert found.results.select("not_above_chance", "not_better", "not_told_apart").row(0) == (None, None, None)
    assert set(found.counts.values()) == {0, 1} and found.counts["models"] == 1


def _series(name: str) -> dict[str, str]:
    return {"method": "baseline", "network": "linear"} if name == "baseline" else {"network": name}


def _r2(truth: Values, prediction: Values) -> float:
    return float(1 - ((truth - prediction) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
