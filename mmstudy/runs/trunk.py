"""The trunk of a run, for which the catalogue is needed: settings that follow from it, and who must not be in both.

A trunk is a finished run whose imaging network another run, the head, takes as it is: see `mmtrain.trunks`.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from catalog.database import Connection
from catalog.splits.kinship import related_keys
from catalog.statements import fetch_frame
from mmdata.store.schema import StudyLayout
from mmdata.study import Study
from mmstudy.runs.folders import find_run_of_study, require_cleaned
from mmtrain.config.run import RunConfig
from mmtrain.data.cohort import read_cohort
from mmtrain.errors import TrainError
from mmtrain.models.card import ModelCard
from mmtrain.run import RunDirectory
from mmtrain.task import open_run_stores
from mmtrain.trunks.fixed import require_one_rank
from mmtrain.trunks.trunk import HELD_OUT, TrunkRun, leaking, open_trunk, require_fitting


def settle_trunk(study: Study, config: RunConfig, given: Mapping[str, Any], num_ranks: int) -> RunConfig:
    """Return the settings of a run with those that follow from its trunk: the width, and that nothing is augmented.

    Parameters
    ----------
    given
        What the user gave.

    Raises
    ------
    TrainError
        The trunk cannot be used, or what was given contradicts it.
    """
    run_id = config.model.trunk
    if run_id is None:
        return config
    require_one_rank(num_ranks)
    if given.get("augment", "none") != "none" or given.get("copies"):
        raise TrainError(
            "A run with --trunk reads no volumes but what the trunk has made of each, so nothing can be augmented.",
            "Leave --augment and --copies out.",
        )
    config = config.changed(augment="none", copies=0)
    trunk = open_trunk(study.layout, run_id)
    require_cleaned(study.layout, trunk.directory)
    stores = open_run_stores(study.layout, config)
    require_fitting(trunk, config, {name: array.attributes for name, array in stores.originals.items()})
    return config.changed(channels=trunk.card.shape.parameters["channels"])


def require_apart(study: Study, catalog: Connection, config: RunConfig, cohort: pl.DataFrame) -> None:
    """Refuse a trunk that has learnt from whom the head is validated or tested on, or from a relative of theirs.

    Parameters
    ----------
    cohort
        Of the head: columns row and split at least.

    Raises
    ------
    TrainError
        Says how many participants it is.
    """
    if config.model.trunk is None:
        return
    trunk = open_trunk(study.layout, config.model.trunk)
    people = dict(fetch_frame(catalog, "SELECT row, participant_key FROM samples").iter_rows())
    related = related_keys(catalog)
    known = _people_of_trunk(trunk, people)
    for split, seen_in in HELD_OUT:
        seen = set().union(*(known[name] for name in seen_in))
        close = seen | {other for pair in related for one, other in (pair, pair[::-1]) if one in seen}
        held_out = {people[row] for row in cohort.filter(pl.col("split") == split)["row"]}
        if shared := len(held_out & close):
            raise leaking(trunk, split, shared, "participant")


def trunk_of(layout: StudyLayout, card: ModelCard) -> RunDirectory | None:
    """Return the run that the model of a run has its imaging network from; None: it has trained all of it.

    Raises
    ------
    TrainError
        It has one, which is gone, cannot be reached or owes a withdrawal: whom it has learnt from is not known then.
    """
    run_id = card.shape.parameters.get("trunk")
    if run_id is None:
        return None
    try:
        run, _ = find_run_of_study(layout, run_id)
    except TrainError as error:
        raise TrainError(
            f"The imaging network is that of run {run_id}, and it is not known whom it has learnt from: "
            f"{error.what_happened}",
            "Put that run back from a backup.",
        ) from error
    require_cleaned(layout, run)
    return run


def _people_of_trunk(trunk: TrunkRun, people: Mapping[int, str]) -> dict[str, set[str]]:
    """Return the participants of each split of a trunk; whoever is not in the study any more is in none."""
    cohort = read_cohort(trunk.directory.cohort)
    return {
        split: {people[row] for row in cohort.rows[cohort.members(split)].tolist() if row in people}
        for split in ("train", "val")
    }
