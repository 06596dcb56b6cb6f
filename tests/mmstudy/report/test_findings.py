"""What is said above everything else on the page of a report."""

from typing import Any

from mmstudy.report.findings import findings_of


def content(**changed: Any) -> dict[str, Any]:
    """Return two targets from two sets: by a network, by a linear baseline and by the constant one."""
    models = {
        "target": [0, 0, 0, 1, 1],
        "series": [0, 1, 2, 0, 1],
        "set": [0, 1, 0, 0, 0],
        "score": [0.5, 0.6, 0.0, 0.52, 0.55],
        "val_score": [0.7, 0.8, 0.9, 0.6, 0.5],
        "not_above_chance": [False, False, True, True, False],
    }
    return {
        "targets": [{"title": "age", "metric": "r2"}, {"title": "sex", "metric": "balanced_accuracy"}],
        "series": [{"network": name} for name in ("fusion", "linear", "constant")],
        "inputs": [{"title": "T1"}, {"title": "diffusion"}],
        "sets": [[0], [0, 1]],
        "models": models,
        "best": {"model": [0, 1, 2, 3, 4], "chosen_on": ["validation"] * 5},
        "differences": {
            "family": ["best baseline"] * 3 + ["less one input"],
            "verdict": ["worse", "worse", None, "better"],
        },
        **changed,
    }


def test_each_target_is_told_by_the_model_that_validation_chose_whatever_its_test_score() -> None:
    above, below, _ = findings_of(content())
    assert above.endswith(": age (R² 0.600, T1 + diffusion).")  # not the constant one, which validation put first
    assert below == "Not above chance by that model: sex."  # the other model of sex is, and was not chosen


def test_networks_are_counted_against_baselines_alone() -> None:
    expected = "Of 3 networks, none is found better than the best baseline of the same inputs, and 2 are found worse"
    assert findings_of(content())[-1] == f"{expected} (q at most 0.05)."


def test_nothing_is_said_of_a_table_of_scores() -> None:
    unknown = {**content()["models"], "not_above_chance": [None] * 5}
    empty = {"family": [], "verdict": []}
    on_test = {"model": [0, 3], "chosen_on": ["test", "test"]}
    assert findings_of(content(models=unknown, differences=empty)) == []
    assert findings_of(content(best=on_test, differences=empty)) == []
