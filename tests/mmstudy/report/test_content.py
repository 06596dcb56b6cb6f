"""The content of a report on made-up tables."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr

from catalog.fields import load_dictionary
from mmstudy.comparison.compare import compare
from mmstudy.comparison.totals import TIMED, mean_interval
from mmstudy.report.communities import find_levels
from mmstudy.report.content import About, report_content
from mmstudy.report.edges import corrected_distance, edge_columns, profile_correlation, published_distance
from mmstudy.report.nodes import centralities
from mmstudy.sweep.cells import Cell
from mmtrain.metrics.metric import Values
from tests.mmstudy.comparison.made_up import score_row, table

DICTIONARY = load_dictionary()
ABOUT = About(title="made up", source="runs", made_on="2026-11-28")
SETS = (("t1",), ("dwi",), ("t1", "dwi"), ("connectivity",))
SCORES = {"age": (0.6, 0.5, 0.7, None), "weight": (0.3, 0.2, 0.4, 0.1), "sex": (0.9, None, 0.95, 0.8)}


def rows(**more: Any) -> list[dict[str, Any]]:
    """Return a model of each target from each set; what SCORES does not have does not exist."""
    found = []
    for target, scores in SCORES.items():
        for number, (inputs, score) in enumerate(zip(SETS, scores, strict=True)):
            if score is None:
                continue
            cell = Cell(target=target, inputs=inputs, blocks=())
            kind = "binary" if target == "sex" else "continuous"
            domain = "constitutional"
            values = {"balanced_accuracy": 0.5 + score / 2, "val_score": score, "minutes": 10.0 * (number + 1)}
            found.append(score_row(cell, score, kind=kind, domain=domain, **{**values, **more}))
    return found


def content_of(scores: pl.DataFrame) -> dict[str, Any]:
    return report_content(compare(scores, None), DICTIONARY, ABOUT)


def test_content_is_plain_json_and_equal_tables_give_equal_content() -> None:
    first, again = (json.dumps(content_of(table(rows())), allow_nan=False) for _ in range(2))
    assert first == again


def test_measures_of_profiles_are_those_of_a_loop() -> None:
    nan = np.nan
    profiles_TS = np.array([[0.8, 0.7, 0.9, nan], [0.6, 0.65, 0.7, 0.5], [nan, 0.5, 0.6, 0.7], [nan, nan, 0.5, nan]])
    assert np.isnan(profile_correlation(np.array([[0.5, 0.5, 0.5], [0.5, 0.6, 0.7]]))[0, 1])
    assert np.isnan(profile_correlation(np.full((2, 3), nan))).all()
    published_TT, corrected_TT = published_distance(profiles_TS), corrected_distance(profiles_TS)
    correlation_TT = profile_correlation(profiles_TS)
    for one in range(4):
        for other in set(range(4)) - {one}:
            pairs = list(zip(profiles_TS[one], profiles_TS[other], strict=True))
            shared = [(a, b) for a, b in pairs if not np.isnan(a + b)]
            as_zero = [abs(np.nan_to_num(a) - np.nan_to_num(b)) for a, b in pairs]
            assert published_TT[one, other] == pytest.approx(4 / sum(as_zero))
            if len(shared) >= 3:
                assert corrected_TT[one, other] == pytest.approx(len(shared) / sum(abs(a - b) for a, b in shared))
                assert correlation_TT[one, other] == pytest.approx(pearsonr(*zip(*shared, strict=True))[0])
            else:
                assert np.isnan(correlation_TT[one, other]) and np.isnan(corrected_TT[one, other])


def test_edges_name_each_pair_once_with_the_strongest_first_and_nothing_that_is_not_known() -> None:
    strength_TT = np.array([[0, 2.0, np.nan], [2.0, 0, 3.0], [np.nan, 3.0, 0]])
    assert edge_columns(strength_TT) == {"one": [1, 0], "other": [2, 1], "strength": [3.0, 2.0], "num_equal": 0}


@pytest.mark.parametrize("measure", [published_distance, corrected_distance])
def test_equal_profiles_are_as_strong_a_tie_as_the_strongest_other(measure: Callable[[Values], Values]) -> None:
    twice, thrice = [0.1 + 0.2, 0.6, 0.7], [0.3, 0.6, 0.7]  # equal, but for the last digit of the first score
    profiles_TS = np.array([[0.5, 0.5, 0.5], twice, [0.8, 0.9, 0.5], thrice, [np.nan] * 3])
    edges = edge_columns(measure(profiles_TS))
    assert (edges["one"][0], edges["other"][0], edges["num_equal"]) == (1, 3, 1)
    assert edges["strength"][0] == edges["strength"][1] == max(edges["strength"]) < 20
    assert len(edges["one"]) == 6 and 4 not in edges["other"]  # no model, no profile
    assert find_levels(edges, 5)[-1][1] == find_levels(edges, 5)[-1][3]
    alone = edge_columns(measure(np.array([twice, thrice])))
    assert alone == {"one": [0], "other": [1], "strength": [1.0], "num_equal": 1}


def test_centrality_is_the_first_eigenvector_of_the_strengths() -> None:
    rng = np.random.default_rng(5)
    strength_TT = np.triu(rng.uniform(1, 300, (9, 9)), k=1)
    strength_TT += strength_TT.T
    vector_T = np.abs(np.linalg.eigh(strength_TT)[1][:, -1])
    assert centralities(edge_columns(strength_TT), 9) == pytest.approx(vector_T.tolist(), rel=1e-3)


def test_targets_without_a_way_to_most_others_have_no_centrality_and_negative_ties_count_for_nothing() -> None:
    edges = {"one": [0, 1, 3], "other": [1, 2, 4], "strength": [4.0, -1.0, 9.0]}
    assert centralities({name: values[:1] for name, values in edges.items()}, 4)[2:] == [None, None]
    assert centralities({"one": [0], "other": [1], "strength": [-0.5]}, 2) == [None, None]
    three = {"one": [0, 0, 3], "other": [1, 2, 4], "strength": [1.0, 1.0, 50.0]}
    assert centralities(three, 5)[3:] == [None, None]


def test_communities_are_found_again_on_every_level_from_coarse_to_fine() -> None:
    group = [place // 4 for place in range(16)]
    half = [place // 8 for place in range(16)]
    strength_TT = np.array(
        [[10.0 * (group[a] == group[b]) + 2.0 * (half[a] == half[b]) + 0.05 for b in range(16)] for a in range(16)]
    )
    levels = find_levels(edge_columns(strength_TT), 16)
    assert levels[-1] == group
    for coarse, fine in pairwise(levels):
        assert len(set(zip(coarse, fine, strict=True))) == len(set(fine))


def test_nodes_have_the_scores_of_the_best_sets_and_a_null_where_there_is_none() -> None:
    content = content_of(table(rows()))
    nodes = {node["name"]: node["values"] for node in content["nodes"]}
    targets = [target["name"] for target in content["targets"]]
    assert dict(zip(targets, nodes["best_score"], strict=True)) == {"age": 0.7, "weight": 0.4, "sex": 0.95}
    assert dict(zip(targets, nodes["best_balanced_accuracy"], strict=True))["sex"] == 0.975
    assert nodes["highest_balanced_accuracy"] == nodes["best_balanced_accuracy"]
    assert {f"centrality_{edges['name']}" for edges in content["edges"]} <= nodes.keys()


def test_baselines_are_no_series_that_targets_are_compared_by_unless_there_is_nothing_else() -> None:
    of_baseline = rows(method="baseline", network="linear", run_id="b")
    assert {edges["series"] for edges in content_of(table([*rows(), *of_baseline]))["edges"]} == {0}
    both = table([*of_baseline, *rows(method="baseline", network="trees", run_id="c")])
    assert {edges["series"] for edges in content_of(both)["edges"]} == {0, 1}


def test_hours_by_set_count_a_run_once_and_their_interval_is_that_of_the_t_distribution() -> None:
    shared = [row | {"run_id": f"of {'-'.join(row['inputs'])}", "method": "shared"} for row in rows()]
    hours = content_of(table([*rows(), *shared]))["hours"]
    by_set = {key: place for place, key in enumerate(zip(hours["series"], hours["set"], strict=True))}
    assert len(by_set) == 8 and hours["num_models"][:4] == [3, 2, 3, 2] and hours["num_models"][4:] == [1, 1, 1, 1]
    assert hours["hours"][0] == 0.5 and hours["hours"][4] == pytest.approx(1 / 6, rel=1e-4)
    assert hours["low"][4] is None
    assert mean_interval([10.0, 12.0, 17.0]) == pytest.approx((13 - 8.9567, 13 + 8.9567), abs=1e-3)


def test_hours_of_series_and_trunks_sum_to_the_hours_in_all() -> None:
    frozen = [row | {"method": "frozen", "run_id": f"{row['run_id']} head"} for row in rows()]
    frozen[7]["run_id"] = rows()[7]["run_id"]  # of sex; a cell without volumes has nothing to freeze
    left_out = rows(seed=2, run_id="again")[:1]  # no other model of age has this seed
    trunks = pl.DataFrame(
        [("trunk", "fusion", ["flair", "t1"], [], name, minutes) for name, minutes in (("a", 90.0), ("b", 150.0))],
        schema=TIMED,
        orient="row",
    )
    compared = compare(table([*rows(), *frozen, *left_out]), None, trunks=trunks)
    content = report_content(compared, DICTIONARY, ABOUT)
    totals = dict(zip(*content["hour_totals"].values(), strict=True))
    assert list(totals)[-2:] == ["trunks, which models share", "in all"]
    *parts, in_all = totals.values()
    assert sum(parts) == pytest.approx(in_all, rel=1e-4) and in_all == content["about"]["hours"]
    assert totals["trunks, which models share"] == 4.0
    assert totals["runs that several series share, counted once"] == pytest.approx(-10 / 60, rel=1e-4)
    assert "runs of models that are left out of the comparison" in totals
    assert content["trunks"] == {"inputs": ["FLAIR + T1"], "num_trunks": [2], "mean": [120.0], "hours": [4.0]}
    for place, title in enumerate(series["title"] for series in content["series"]):
        by_set = zip(content["hours"]["series"], content["hours"]["hours"], strict=True)
        assert sum(hours for of, hours in by_set if of == place) == pytest.approx(totals[title], rel=1e-4)
    without = content_of(table(rows()))
    assert without["hour_totals"]["what"] == ["separate fusion", "in all"] and without["trunks"]["inputs"] == []


def test_effects_name_domains_series_and_inputs_by_their_places() -> None:
    content = content_of(table(rows()))
    effects = content["effects"]
    assert effects["term"][0] == "intercept" and effects["inputs"][0] == []
    for term, inputs in zip(effects["term"][1:], effects["inputs"][1:], strict=True):
        assert term == "+".join(content["inputs"][place]["name"] for place in inputs)
    assert {content["domains"][place] for place in effects["domain"]} == {"constitutional"}
    assert len({len(column) for column in effects.values()}) == 1
