"""Connectomes of another atlas, in another order, of another measure."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mmdata.synth.participant import brain_at, draw_participant
from mmdata.synth.seeds import generator
from mmdata.synth.timeseries import PARCELLATIONS, draw_series
from mmdata.volume.connectivity import correlate_regions
from mmdata.volume.settings import ConnectivitySettings
from mmstudy.models.training_cohort import EdgeCohort, edge_cohort
from mmstudy.predict.deviations.connectome import find_edge_deviations

KIND, NUM_REGIONS = PARCELLATIONS["Schaefer7n100p"], 100
SETTINGS = ConnectivitySettings(name="schaefer7n100")
NUM_EDGES = NUM_REGIONS * (NUM_REGIONS - 1) // 2


def series(index: int) -> NDArray[np.float64]:
    participant = draw_participant(17, index)
    brain = brain_at(participant, participant.age_years)
    return draw_series(generator(17, "trial", index), 17, KIND, brain).astype(np.float64)


def edges(index: int, *, fisher_z: bool = False) -> NDArray[np.float32]:
    return correlate_regions(series(index), fisher_z=fisher_z)[0]


@pytest.fixture(scope="module")
def cohort() -> EdgeCohort:
    described = edge_cohort(np.array([edges(index) for index in range(30)]))
    assert described is not None
    return described


def told(edges_E: NDArray[np.float32], cohort: EdgeCohort | None) -> list[str]:
    return [one.name for one in find_edge_deviations(edges_E, NUM_EDGES, SETTINGS, cohort)]


def test_good_connectomes_of_others_are_not_refused(cohort: EdgeCohort) -> None:
    assert [told(edges(index), cohort) for index in range(100, 160)] == [[]] * 60


def test_other_atlases_orders_and_measures_are_told_by_name(cohort: EdgeCohort) -> None:
    shuffled = series(200)[np.random.default_rng(0).permutation(NUM_REGIONS)]
    precision = np.linalg.inv(np.corrcoef(series(200)))
    scale = np.sqrt(np.diag(precision))
    partial = (-precision / np.outer(scale, scale))[np.triu_indices(NUM_REGIONS, 1)].astype(np.float32)
    empty = series(200)
    empty[:40] = 0
    with_nan = edges(200)
    with_nan[3] = np.nan
    planted = {
        "number": (edges(200)[:-1], "other-parcellation"),
        "order": (correlate_regions(shuffled, fisher_z=False)[0], "other-parcellation"),
        "fisher z": (edges(200, fisher_z=True) * 1.0 + 0.0, "other-measure"),
        "partial": (partial, "other-measure"),
        "empty": (correlate_regions(empty, fisher_z=False)[0], None),
        "nan": (with_nan, "out-of-range"),
    }
    found = {what: told(edges_E, cohort) for what, (edges_E, _) in planted.items()}
    assert all(len(names) == 1 for names in found.values())
    assert {what: names for what, names in found.items() if planted[what][1]} == {
        what: [name] for what, (_, name) in planted.items() if name
    }


def test_without_training_people_the_number_of_edges_and_their_range_are_all_that_is_told() -> None:
    assert told(edges(200), None) == []
    assert told(edges(200)[:-1], None) == ["other-parcellation"]
    assert told(edges(200) * 3, None) == ["other-measure"]
