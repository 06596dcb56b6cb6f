"""Models of the same participants, compared as a whole: refusals, families, seeds, visits and flags."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control

from catalog.fields import load_dictionary
from mmstudy.comparison.compare import EACH_ITS_OWN, Comparison, compare
from mmstudy.comparison.contenders import find_contenders
from mmstudy.comparison.contest import SEED
from mmstudy.comparison.families import BASELINE, BEST, LESS_ONE, METHOD, find_pairs
from mmstudy.comparison.scores import choose_rows
from mmstudy.comparison.tables import told_notes
from mmstudy.sweep.cells import Cell
from mmstudy.sweep.grid import reference_cells, reference_targets
from mmtrain.data.order import derive_seed
from mmtrain.errors import TrainError
from mmtrain.metrics.bootstrap import bootstrap_difference
from mmtrain.metrics.metric import Scored
from mmtrain.metrics.registry import METRICS
from tests.mmstudy.comparison.made_up import MadeUp, Values, score_row, table

N = 200
SETS = {"both": ("t1", "dwi"), "t1": ("t1",), "dwi": ("dwi",)}
NOISE = {"both": 0.5, "t1": 0.6, "dwi": 1.2}


def made_up(**more: Any) -> tuple[list[dict[str, Any]], MadeUp]:
    """Return three cells of one target, of which dwi adds little to t1, and their predictions."""
    rng = np.random.default_rng(5)
    truth = rng.normal(0, 1, N)
    predictions = {name: truth + rng.normal(0, noise, N) for name, noise in NOISE.items()}
    rows = [
        score_row(Cell(target="x", inputs=SETS[name]), _r2(truth, of), run_id=name, val_score=_r2(truth, of), **more)
        for name, of in predictions.items()
    ]
    return rows, MadeUp(truth, predictions)


def _r2(truth: Values, prediction: Values) -> float:
    return float(1 - ((truth - prediction) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def pairs_of(found: Comparison, family: str, metric: str = "r2") -> pl.DataFrame:
    return found.paired.filter(pl.col("family") == family, pl.col("metric") == metric)


def test_each_set_is_tested_less_one_input_and_the_best_against_all_others() -> None:
    rows, reader = made_up()
    found = compare(table(rows), reader)
    less = pairs_of(found, LESS_ONE).sort("other_cell")
    assert less["other_cell"].to_list() == ["x_dwi", "x_t1"] and less["less"].to_list() == [["t1"], ["dwi"]]
    assert less["verdict"].to_list() == ["better", "better"] and less["num_participants"].to_list() == [N, N]
    best = pairs_of(found, BEST)
    assert best["cell"].to_list() == ["x_t1-dwi"] * 2
    assert best["q"].to_list() == pytest.approx(false_discovery_control(best["p"].to_numpy()).tolist())
    mae = pairs_of(found, BEST, "mae")
    assert (mae["difference"] < 0).all() and mae["verdict"].to_list() == ["better", "better"]
    assert found.untested == {} and found.notes == (
        "No mixed model of serology (separate fusion): 1 target with scores, and it needs 2.",
    )


def test_the_interval_of_a_difference_is_that_of_the_metrics_own_bootstrap() -> None:
    rows, reader = made_up()
    row = pairs_of(compare(table(rows), reader), LESS_ONE).filter(pl.col("other_cell") == "x_t1").row(0, named=True)
    one, other = (Scored(reader.truth, reader.predictions[name]) for name in ("both", "t1"))
    same_draws = derive_seed(SEED, "comparison", "x", 0)
    expected = bootstrap_difference([METRICS["r2"]], one, other, np.arange(N), same_draws)["r2"]
    assert (row["low"], row["high"]) == pytest.approx(expected, rel=1e-9)
    assert row["low"] < row["difference"] < row["high"]


def test_repeated_visits_of_a_person_move_together() -> None:
    rows, reader = made_up()
    people = list(range(N))
    twice = MadeUp(
        np.tile(reader.truth, 2), {name: np.tile(of, 2) for name, of in reader.predictions.items()}, people * 2
    )
    once, again = (pairs_of(compare(table(rows), of), LESS_ONE) for of in (reader, twice))
    for column in ("difference", "p", "low", "high"):
        np.testing.assert_allclose(again[column], once[column], rtol=1e-6)
    strangers = pairs_of(compare(table(rows), MadeUp(twice.truth, twice.predictions)), LESS_ONE)
    assert (strangers["p"] < once["p"]).all()


def test_seeds_of_a_cell_count_as_one_model_with_their_mean_score() -> None:
    rows, reader = made_up()
    again = [{**row, "run_id": f"{row['run_id']}2", "seed": 2} for row in rows]
    rng = np.random.default_rng(8)
    more = {f"{name}2": reader.truth + rng.normal(0, NOISE[name], N) for name in NOISE}
    found = pairs_of(compare(table(rows + again), MadeUp(reader.truth, reader.predictions | more)), LESS_ONE)
    both = reader.predictions | more
    scores = {name: np.mean([_r2(reader.truth, both[run]) for run in (name, f"{name}2")]) for name in NOISE}
    assert found.height == 2
    assert found["score"].to_list() == pytest.approx([scores["both"]] * 2)
    assert sorted(found["other_score"]) == pytest.approx(sorted([scores["t1"], scores["dwi"]]))


def test_folds_of_a_cell_are_pooled_over_their_participants() -> None:
    rows, reader = made_up()
    rows = [{**row, "split": "fold-1/2"} for row in rows]
    other = [{**row, "run_id": f"{row['run_id']}2", "participants": "q", "split": "fold-2/2"} for row in rows]
    doubled = MadeUp(reader.truth, reader.predictions | {f"{name}2": of for name, of in reader.predictions.items()})
    once = pairs_of(compare(table(rows), reader), LESS_ONE)
    pooled = pairs_of(compare(table(rows + other), doubled), LESS_ONE)
    assert pooled["num_participants"].to_list() == [2 * N] * 2
    np.testing.assert_allclose(pooled["difference"], once["difference"])
    assert (pooled["p"] < once["p"]).all()


@pytest.mark.parametrize(
    ("column", "words"), [("participants", "use other participants"), ("regime", "trained by other settings")]
)
def test_models_that_differ_in_what_must_be_equal_are_refused(column: str, words: str) -> None:
    rows, reader = made_up()
    rows[1][column] = "another"
    with pytest.raises(TrainError, match=f"x cannot be compared: x_t1 .*{words}") as refused:
        compare(table(rows), reader)
    assert "as one sweep" in refused.value.what_to_do
    found = compare(table(rows), reader, each_its_own=True)
    assert found.paired.is_empty() and found.notes[0] == EACH_ITS_OWN and found.best.height == 1


def test_a_target_whose_models_differ_leaves_the_others_comparable() -> None:
    rows, reader = made_up()
    others = [{**row, "target": "y", "cell": row["cell"].replace("x_", "y_")} for row in rows]
    others[1]["regime"] = "another"
    found = compare(table([*rows, *others]), reader)
    assert list(found.refused) == ["y"] and "trained by other settings" in found.refused["y"]
    assert set(found.results["target"]) == set(found.best["target"]) == set(found.paired["target"]) == {"x"}
    assert any("y is in no table" in note for note in told_notes(found))


def test_a_model_that_lacks_a_seed_or_a_fold_is_compared_with_nothing() -> None:
    rows, reader = made_up()
    again = [{**row, "seed": 2} for row in rows]
    folds = [{**row, "split": "fold-2/2", "participants": "q"} for row in rows]
    for more in (again, folds):
        found = compare(table([*rows, *more[:2]]), reader)
        assert found.notes[-1] == "1 models of x are left out: they are not finished with every seed and fold."
        assert "x_dwi" not in {*found.paired["cell"], *found.paired["other_cell"], *found.best["best_on_test"]}
        assert "x_dwi" not in set(found.results["cell"]) and found.counts["models"] == 2
    half = compare(table([rows[0], again[1]]), reader)
    assert half.paired.is_empty() and half.best.is_empty() and half.notes[-1].startswith("2 models of x are left out")


def test_a_run_that_serves_two_methods_is_not_tested_against_itself() -> None:
    rows, reader = made_up()
    frozen = [{**row, "method": "frozen"} for row in rows]
    frozen[1]["run_id"] = "dwi"
    found = compare(table([row | {"minutes": 60.0} for row in (*rows, *frozen)]), reader)
    assert pairs_of(found, METHOD)["cell"].to_list() == ["x_t1"]
    assert dict(found.hours.group_by("method").agg(pl.col("hours").sum()).iter_rows()) == {"separate": 3, "frozen": 2}
    assert found.hours_in_all == 3


def test_counts_below_ten_are_in_no_table() -> None:
    rows, _ = made_up(kind="binary", n_test=200)
    shares = (0.04, 0.06, 0.97)
    found = compare(table([row | {"prevalence": of} for row, of in zip(rows, shares, strict=True)]), None)
    assert found.results["prevalence"].to_list() == [None, 0.06, None]
    assert compare(table([row | {"n_test": 9} for row in rows]), None).results["n_test"].to_list() == [None] * 3


def test_no_confusion_matrix_with_a_small_cell_follows_from_what_is_told() -> None:
    ones, zeros, right_ones, right_zeros = 58, 67, 48, 66
    balanced = (right_ones / ones + right_zeros / zeros) / 2
    rows, _ = made_up(kind="binary", n_test=ones + zeros, prevalence=ones / (ones + zeros), smallest_cell=1)
    rows = [row | {"score": balanced, "balanced_accuracy": balanced, "recall": right_ones / ones} for row in rows]
    told = compare(table(rows), None).results
    assert told.select("precision", "recall", "f1").null_count().row(0) == (3, 3, 3) and "smallest_cell" not in told
    fitting = {
        (a, b)
        for a in range(ones + 1)
        for b in range(zeros + 1)
        if round((a / ones + b / zeros) / 2, 2) == told["balanced_accuracy"][0] == told["score"][0]
    }
    assert (right_ones, right_zeros) in fitting
    assert len({a for a, _ in fitting}) > 10 and any(zeros - b >= 10 for _, b in fitting)
    exact = compare(table([row | {"smallest_cell": 10} for row in rows]), None).results
    assert exact["score"][0] == balanced and exact["recall"][0] == right_ones / ones


def test_differences_of_a_target_with_a_small_cell_are_coarse_and_people_are_told_in_tens() -> None:
    rng = np.random.default_rng(3)
    truth = (rng.random(125) < 0.5).astype(float)
    predictions = {name: np.clip(truth * 0.6 + rng.random(125) * 0.5, 0, 1) for name in SETS}
    rows = [
        score_row(Cell(target="y", inputs=of), 0.9, run_id=name, kind="binary", r2=None, val_score=0.9, smallest_cell=3)
        for name, of in SETS.items()
    ]
    pairs = compare(table(rows), MadeUp(truth, predictions)).paired
    decided = pairs.filter(pl.col("metric") == "balanced_accuracy")
    assert decided["difference"].to_list() == [round(value, 2) for value in decided["difference"]]
    assert set(pairs["num_participants"]) == {120}


def test_some_targets_or_methods_are_chosen_and_what_there_is_not_is_refused() -> None:
    rows, _ = made_up()
    scores = table([*rows, {**rows[0], "target": "y", "method": "shared"}])
    assert choose_rows(scores, {"target": ["y"], "method": ["shared"]}).height == 1
    with pytest.raises(TrainError, match="no models with the method 'frozen'") as refused:
        choose_rows(scores, {"method": ["frozen"]})
    assert "separate, shared" in refused.value.what_to_do


def test_models_of_an_older_mm_are_refused_for_it_is_not_known_who_they_were_tested_on() -> None:
    rows, reader = made_up(participants=None)
    with pytest.raises(TrainError, match="of an older mm"):
        compare(table(rows), reader)


def test_a_run_that_lost_samples_leaves_its_target_untested_and_says_why() -> None:
    rows, reader = made_up()
    reader.order["t1"] = list(range(N - 1))
    found = compare(table(rows), reader)
    assert found.paired.is_empty() and "Run t1 was tested on other samples" in found.untested["x"]
    reader.order["t1"] = list(reversed(range(N)))
    assert compare(table(rows), reader).paired.height == 8


def test_a_missing_prediction_leaves_the_pairs_of_its_model_without_a_verdict() -> None:
    rows, reader = made_up()
    reader.predictions["t1"][3] = np.nan
    less = pairs_of(compare(table(rows), reader), LESS_ONE).sort("other_cell")
    assert less["verdict"].to_list() == ["better", None] and less["p"][1] is None and less["low"][1] is None


def test_one_set_of_inputs_has_nothing_to_be_tested_against_and_no_optimism() -> None:
    rows, reader = made_up()
    found = compare(table(rows[:1]), reader)
    assert found.paired.is_empty() and found.best["num_sets"].to_list() == [1]
    assert found.best["optimism"].to_list() == [0.0] and found.best["optimism_low"].to_list() == [None]


def test_fewer_than_ten_participants_are_not_told_of() -> None:
    rows, reader = made_up()
    few = MadeUp(reader.truth[:9], {name: of[:9] for name, of in reader.predictions.items()})
    found = compare(table(rows), few)
    assert found.paired.is_empty() and "too few" in found.untested["x"]


def test_where_draws_often_have_one_class_alone_there_is_no_interval() -> None:
    truth = np.zeros(40)
    truth[0] = 1
    rng = np.random.default_rng(0)
    rows = [
        score_row(Cell(target="y", inputs=inputs), 0.5, run_id=name, kind="binary", r2=None, val_score=0.5)
        for name, inputs in SETS.items()
    ]
    found = pairs_of(compare(table(rows), MadeUp(truth, {name: rng.random(40) for name in SETS})), LESS_ONE, "auc")
    assert found["low"].to_list() == [None, None] and found["p"].is_not_null().all()


def test_a_network_is_tested_against_the_best_baseline_of_its_cell_and_other_methods_against_separate() -> None:
    rows, reader = made_up()
    rng = np.random.default_rng(2)
    cell = Cell(target="x", inputs=("t1",))
    for name, method, network, noise in (
        ("linear", "baseline", "linear", 0.3),
        ("boosting", "baseline", "boosting", 0.9),
        ("shared", "shared", "fusion", 0.61),
    ):
        reader.predictions[name] = reader.truth + rng.normal(0, noise, N)
        score = _r2(reader.truth, reader.predictions[name])
        rows.append(score_row(cell, score, val_score=score, run_id=name, method=method, network=network))
    found = compare(table(rows), reader)
    baseline = pairs_of(found, BASELINE)
    assert sorted(baseline["method"]) == ["separate", "shared"] and set(baseline["other_network"]) == {"linear"}
    assert set(baseline["verdict"]) == {"worse"}
    assert pairs_of(found, METHOD).select("method", "other_method").rows() == [("shared", "separate")]
    flagged = found.results.filter(pl.col("not_better"))
    assert sorted(flagged["run_id"]) == ["shared", "t1"] and set(flagged["best_baseline"]) == {"linear"}


def test_the_reference_grid_has_as_many_pairs_as_its_sets_have_neighbours() -> None:
    dictionary = load_dictionary()
    cells = reference_cells(dictionary, reference_targets(dictionary))
    contenders = find_contenders(table([score_row(cell, 0.5, val_score=0.5) for cell in cells]))
    pairs = [
        pair
        for of_target in contenders.partition_by("target", maintain_order=True)
        for pair in find_pairs(of_target.rows(named=True))
    ]
    num_less = sum(pair.family == LESS_ONE for pair in pairs)
    assert (num_less, len(pairs) - num_less) == (21 * 5 * 16 + 4 * 9, 700 - 25)
    assert {pair.less for pair in pairs if pair.less and "t1" in pair.less} == {("flair", "t1")}
