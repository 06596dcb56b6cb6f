from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from catalog.splits.kinship import read_kinship
from mmdata.synth.kinship import write_kinship
from mmdata.synth.participant import draw_participant, eid_of
from mmdata.synth.plan import plan_release


@pytest.mark.parametrize("participants", [4, 5, 8, 100, 333])
def test_relatives_are_participants_with_imaging_and_form_families_of_two_and_three(
    tmp_path: Path, participants: int
) -> None:
    num_pairs = write_kinship(tmp_path / "ukb_rel.dat", 5, plan_release(5, participants))
    pairs = read_kinship(tmp_path / "ukb_rel.dat")
    assert len(pairs) == num_pairs >= 1
    ages = {eid_of(5, index): draw_participant(5, index).age_years for index in range(participants)}
    gaps = sorted(abs(ages[pair.eid] - ages[pair.relative_eid]) for pair in pairs)
    assert all(0.2 < pair.coefficient < 0.3 for pair in pairs)
    assert gaps[0] < 18.0
    if participants >= 100:
        family_of_two = round(0.02 * participants)
        assert num_pairs == 4 * family_of_two
        assert sum(gap >= 18.0 for gap in gaps) == 2 * family_of_two
        assert len({eid for pair in pairs for eid in (pair.eid, pair.relative_eid)}) == 5 * family_of_two


def test_a_release_of_ukbs_items_holds_its_file_and_other_layouts_do_not(written: Callable[..., Path]) -> None:
    assert (written(layout="zips") / "ukb_rel.dat").read_text().startswith("ID1 ID2 HetHet IBS0 Kinship\n")
    assert not (written(layout="bids") / "ukb_rel.dat").exists()


def test_relatives_are_in_the_table(written: Callable[..., Path]) -> None:
    release = written(layout="zips")
    eids = set(pl.read_csv(release / "ukb_synthetic.csv")["eid"])
    assert {eid for pair in read_kinship(release / "ukb_rel.dat") for eid in (pair.eid, pair.relative_eid)} <= eids
