from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.database import open_catalog, open_scratch
from catalog.errors import CatalogError
from catalog.identity import participant_key
from catalog.samples import Enrolment, enrol, num_allocated_rows
from catalog.scans import record_outcomes, record_sources, record_used_copies, stored_training_rows
from catalog.splits.kinship import Relatives
from mmbase.records import NOT_TEST, EnrolledSample, ScanCandidate, ScanOutcome, Visit, rank_copies

SALT = "salt-of-the-test-study"
PEOPLE = [Visit(eid, instance) for eid in range(1_000_001, 1_000_021) for instance in (2, 3)]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_catalog(tmp_path / "catalog.duckdb", writable=True) as connection:
        yield connection


def enrol_visits(connection: Any, visits: list[Visit], **options: Any) -> Enrolment:
    return enrol(connection, visits, salt=SALT, val=0.25, test=0.25, **options)


def rows_of(enrolment: Enrolment) -> dict[Visit, int]:
    return {visit: sample.row for visit, sample in enrolment.samples.items()}


def test_rows_are_dense_and_tell_nothing_of_the_order_of_eids(catalog: Any) -> None:
    enrolment = enrol_visits(catalog, PEOPLE)
    assert sorted(rows_of(enrolment).values()) == list(range(40))
    assert enrolment.num_rows == enrolment.num_new == num_allocated_rows(catalog) == 40
    by_eid = [rows_of(enrolment)[visit] for visit in sorted(PEOPLE)]
    assert by_eid != sorted(by_eid)


def test_all_visits_of_a_participant_are_in_one_split(catalog: Any) -> None:
    samples = enrol_visits(catalog, PEOPLE).samples
    splits = {eid: {s.split for v, s in samples.items() if v.eid == eid} for eid in {v.eid for v in PEOPLE}}
    assert all(len(names) == 1 for names in splits.values())
    assert len(set.union(*splits.values())) == 3


def test_enrolling_again_changes_nothing(catalog: Any) -> None:
    first = enrol_visits(catalog, PEOPLE)
    again = enrol_visits(catalog, PEOPLE[::-1])
    assert again.samples == first.samples
    assert (again.num_rows, again.num_new) == (40, 0)


def test_new_visits_are_appended_and_move_nobody(catalog: Any) -> None:
    first = enrol_visits(catalog, PEOPLE[::2])
    second = enrol_visits(catalog, PEOPLE)
    assert {v: s for v, s in second.samples.items() if v in first.samples} == first.samples
    assert sorted(s.row for v, s in second.samples.items() if v not in first.samples) == list(range(20, 40))
    assert second.num_new == 20


def test_samples_not_asked_for_again_stay_enrolled(catalog: Any) -> None:
    enrol_visits(catalog, PEOPLE)
    assert len(enrol_visits(catalog, PEOPLE[:2]).samples) == 40


def test_the_withdrawn_are_left_out_and_stay_out_without_the_list(catalog: Any) -> None:
    enrol_visits(catalog, PEOPLE)
    gone = PEOPLE[0].eid
    listed = enrol_visits(catalog, PEOPLE, withdrawn_eids=frozenset({gone}))
    later = enrol_visits(catalog, PEOPLE)
    for enrolment in (listed, later):
        assert gone not in {visit.eid for visit in enrolment.samples}
        assert (len(enrolment.samples), enrolment.num_withdrawn, enrolment.num_rows) == (38, 1, 40)
    for view in ("participants", "samples"):
        assert catalog.execute(f"SELECT count(*) FROM {view} WHERE eid = ?", [gone]).fetchone() == (0,)


def test_the_rows_of_the_withdrawn_are_never_given_to_others(catalog: Any) -> None:
    first = enrol_visits(catalog, PEOPLE[:10])
    gone = PEOPLE[0].eid
    freed = {row for visit, row in rows_of(first).items() if visit.eid == gone}
    second = enrol_visits(catalog, PEOPLE, withdrawn_eids=frozenset({gone}))
    assert freed.isdisjoint(rows_of(second).values())


def test_who_withdrew_before_the_first_ingest_gets_no_row(catalog: Any) -> None:
    enrolment = enrol_visits(catalog, PEOPLE, withdrawn_eids=frozenset({PEOPLE[0].eid}))
    assert sorted(rows_of(enrolment).values()) == list(range(38))


def test_a_lost_catalogue_gets_its_rows_back(tmp_path: Path) -> None:
    with open_catalog(tmp_path / "one.duckdb", writable=True) as connection:
        enrol_visits(connection, PEOPLE[::2])
        before = enrol_visits(connection, PEOPLE)
    stored = {sample.sample_id: sample for sample in before.samples.values()}
    with open_catalog(tmp_path / "two.duckdb", writable=True) as connection:
        after = enrol_visits(connection, PEOPLE, allocated=stored)
        assert after.samples == before.samples
        newcomer = Visit(1_000_500, 2)
        assert enrol_visits(connection, [newcomer]).samples[newcomer].row == 40


def test_rows_that_the_withdrawn_gave_up_are_never_given_again(catalog: Any) -> None:
    assert min(rows_of(enrol_visits(catalog, PEOPLE, retired_rows={3, 17})).values()) == 18


def test_rows_that_are_stored_are_never_allocated_to_new_samples(catalog: Any) -> None:
    lost = {"0123456789abcdef": EnrolledSample(sample_id="0123456789abcdef", row=7, split="train")}
    rows = rows_of(enrol_visits(catalog, PEOPLE, allocated=lost))
    assert min(rows.values()) == 8


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sets(st.sampled_from(PEOPLE), min_size=1), min_size=1, max_size=4))
def test_a_row_once_given_is_kept_whatever_order_participants_come_in(
    tmp_path_factory: pytest.TempPathFactory, waves: list[set[Visit]]
) -> None:
    seen: dict[Visit, EnrolledSample] = {}
    with open_catalog(tmp_path_factory.mktemp("waves") / "catalog.duckdb", writable=True) as connection:
        for wave in waves:
            enrolment = enrol_visits(connection, list(wave))
            assert seen.items() <= enrolment.samples.items()
            assert sorted(rows_of(enrolment).values()) == list(range(enrolment.num_rows))
            seen = dict(enrolment.samples)
    assert set(seen) == set.union(*waves)


@pytest.fixture
def scanned(catalog: Any) -> Callable[..., list[tuple[Any, ...]]]:
    """Enrol all, record t1 sources of the first two visits and outcomes; return the scans view of one sample."""
    samples = enrol_visits(catalog, PEOPLE).samples
    candidates = [ScanCandidate(visit=v, modality="t1", path=Path(f"/in/{i}.zip")) for i, v in enumerate(PEOPLE[:3])]
    record_sources(catalog, samples, candidates, ["t1"])
    results = [("stored", "", {"brain_ml": 1200.0}), ("rejected", "truncated", {})]
    record_outcomes(
        catalog,
        [
            ScanOutcome(
                sample_id=samples[v].sample_id, modality="t1", status=status, reason=reason, detail="", measures=m
            )
            for v, (status, reason, m) in zip(PEOPLE, results, strict=False)
        ],
    )

    def look(visit: Visit) -> list[tuple[Any, ...]]:
        name = samples[visit].sample_id
        rows = catalog.execute("SELECT modality, status, reason, brain_ml FROM scans WHERE sample_id = ?", [name])
        return list(rows.fetchall())

    return look


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, ("t1", "stored", "", 1200.0)),
        (1, ("t1", "rejected", "truncated", None)),
        (2, ("t1", "absent", "not-ingested-yet", None)),
        (3, ("t1", "absent", "no-file", None)),
    ],
)
def test_every_sample_has_one_scan_of_each_modality_with_status_and_reason(
    scanned: Callable[..., Any], index: int, expected: tuple[Any, ...]
) -> None:
    assert scanned(PEOPLE[index]) == [expected]


def test_newer_outcomes_replace_older_ones_and_strangers_are_passed_over(
    catalog: Any, scanned: Callable[..., Any]
) -> None:
    name = catalog.execute("SELECT sample_id FROM scans WHERE status = 'rejected'").fetchone()[0]
    outcomes = [
        ScanOutcome(sample_id=n, modality="t1", status="stored", reason="", detail="", measures={})
        for n in (name, "0123456789abcdef")
    ]
    record_outcomes(catalog, outcomes)
    assert catalog.execute("SELECT count(*) FROM scans WHERE status = 'stored'").fetchone() == (2,)
    assert scanned(PEOPLE[1]) == [("t1", "stored", "", None)]
    assert catalog.execute("SELECT count(*) FROM scan_outcome").fetchone() == (2,)


def test_only_stored_scans_of_training_samples_are_augmented(catalog: Any) -> None:
    samples = enrol_visits(catalog, PEOPLE).samples
    record_sources(catalog, samples, [], ["t1", "dwi"])
    outcomes = [
        ScanOutcome(sample_id=s.sample_id, modality="t1", status=status, reason="", detail="", measures={})
        for s, status in zip(samples.values(), ["stored", "rejected"] * 20, strict=True)
    ]
    record_outcomes(catalog, outcomes)
    stored = {o.sample_id for o in outcomes if o.status == "stored"}
    expected = {s.row: s.sample_id for s in samples.values() if s.split == "train" and s.sample_id in stored}
    assert 0 < len(expected) < 20
    assert stored_training_rows(catalog, ["t1", "dwi"]) == {"t1": expected, "dwi": {}}


def test_the_source_of_a_scan_is_the_copy_that_is_stored(catalog: Any) -> None:
    samples = enrol_visits(catalog, PEOPLE[:3]).samples
    runs = {
        visit: rank_copies(*(ScanCandidate(visit=visit, modality="t1", path=Path(f"/in/run-{run}")) for run in (1, 2)))
        for visit in PEOPLE[:3]
    }
    record_sources(catalog, samples, runs.values(), ["t1"])
    outcomes = [
        ScanOutcome(
            sample_id=samples[visit].sample_id,
            modality="t1",
            status="stored",
            reason="",
            detail="",
            measures={},
            num_passed_over=num_passed_over,
        )
        for visit, num_passed_over in zip(PEOPLE, (0, 1, 2), strict=False)
    ]
    record_used_copies(catalog, samples, runs.values(), outcomes)
    sources = dict(catalog.execute("SELECT sample_id, source FROM scan_source").fetchall())
    # of the third a copy is gone that was there when it was stored: then the first known stands
    assert [sources[samples[visit].sample_id] for visit in PEOPLE[:3]] == [f"/in/run-{run}" for run in (1, 2, 1)]


def test_records_hide_eids_and_paths_from_their_repr() -> None:
    candidate = ScanCandidate(visit=Visit(1000223, 2), modality="t1", path=Path("/in/1000223_20252_2_0.zip"))
    assert "1000223" not in repr(candidate)


def test_a_repeat_visit_keeps_its_participants_split_whatever_the_shares_are_now(catalog: Any) -> None:
    first, repeat = PEOPLE[::2], PEOPLE[1::2]
    before = {visit.eid: s.split for visit, s in enrol_visits(catalog, first).samples.items()}
    after = enrol(catalog, [*first, *repeat], salt=SALT, val=0.45, test=0.45).samples
    assert {visit.eid: after[visit].split for visit in repeat} == before


def test_another_salt_is_refused_before_anything_is_enrolled(catalog: Any) -> None:
    enrol_visits(catalog, PEOPLE[:2])
    with pytest.raises(CatalogError, match=r"salt in study\.toml is not the one") as caught:
        enrol(catalog, PEOPLE, salt="another-salt-of-a-study", val=0.25, test=0.25)
    assert "another-salt" not in str(caught.value)
    assert num_allocated_rows(catalog) == 2


def test_withdrawals_survive_a_lost_catalogue_by_their_keys(catalog: Any, tmp_path: Path) -> None:
    gone = PEOPLE[0].eid
    keys = enrol_visits(catalog, PEOPLE, withdrawn_eids=frozenset({gone})).withdrawn_keys
    with open_catalog(tmp_path / "rebuilt.duckdb", writable=True) as connection:
        rebuilt = enrol_visits(connection, PEOPLE, withdrawn_keys=keys)
    assert gone not in {visit.eid for visit in rebuilt.samples}
    assert rebuilt.num_withdrawn == 1


def test_a_split_that_the_source_settled_is_kept_for_all_visits(catalog: Any) -> None:
    eids = sorted({visit.eid for visit in PEOPLE})
    fixed = dict.fromkeys(eids[:5], "test") | dict.fromkeys(eids[5:], NOT_TEST)
    samples = enrol_visits(catalog, PEOPLE, fixed_splits=fixed).samples
    assert {visit.eid for visit, sample in samples.items() if sample.split == "test"} == set(eids[:5])
    assert {sample.split for sample in samples.values()} == {"train", "val", "test"}


def test_nobody_moves_when_a_source_settles_splits_later(catalog: Any) -> None:
    before = enrol_visits(catalog, PEOPLE).samples
    others = {visit.eid: "val" if sample.split == "test" else "test" for visit, sample in before.items()}
    after = enrol_visits(catalog, PEOPLE, fixed_splits=others)
    assert after.samples == before and after.num_kept_splits == len(others)


ALONE = "train val train train train train train val train val train test val train test test train train test train"
NOT_TESTED = " ".join("val" if number in (12, 13, 15, 16, 19) else "train" for number in range(1, 21))


@pytest.mark.parametrize(("fixed", "expected"), [(None, ALONE), (NOT_TEST, NOT_TESTED)])
def test_splits_of_those_without_relatives_are_those_of_the_first_version(
    catalog: Any, fixed: str | None, expected: str
) -> None:
    fixed_splits = {visit.eid: fixed for visit in PEOPLE} if fixed else None
    samples = enrol_visits(catalog, PEOPLE, fixed_splits=fixed_splits).samples
    assert [samples[visit].split for visit in PEOPLE[::2]] == expected.split()


def split_of_eids(enrolment: Enrolment) -> dict[int, str]:
    return {visit.eid: sample.split for visit, sample in enrolment.samples.items()}


def related(*pairs: tuple[int, int]) -> list[Relatives]:
    """Pairs of relatives by the last digits of their numbers."""
    return [Relatives(1_000_000 + one, 1_000_000 + other, 0.25) for one, other in pairs]


def test_families_are_in_one_split_though_alone_they_would_not_be(catalog: Any) -> None:
    pairs = related((1, 2), (2, 12), (3, 15), (9, 9_999), (9_999, 13))
    enrolment = enrol_visits(catalog, PEOPLE, kinship=pairs)
    splits = split_of_eids(enrolment)
    for family in ((1, 2, 12), (3, 15), (9, 13)):  # the last by somebody who was not scanned
        assert len({splits[1_000_000 + person] for person in family}) == 1
        assert len({ALONE.split()[person - 1] for person in family}) > 1
    others = [eid for eid in splits if eid - 1_000_000 not in (1, 2, 12, 3, 15, 9, 13)]
    assert [splits[eid] for eid in others] == [ALONE.split()[eid - 1_000_001] for eid in others]
    assert (enrolment.num_related_pairs, enrolment.num_divided_pairs) == (3, 0)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.sets(st.sampled_from(PEOPLE)), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), max_size=12),
    st.sampled_from([None, 1, 3]),
)
def test_relatives_who_come_one_after_another_are_in_one_split_and_move_nobody(
    waves: list[set[Visit]], numbers: list[tuple[int, int]], num_strata: int | None
) -> None:
    pairs = related(*((one, other) for one, other in numbers if one != other))
    strata = {visit.eid: str(visit.eid % num_strata) for visit in PEOPLE} if num_strata else None
    seen: dict[Visit, EnrolledSample] = {}
    with open_scratch(Path("no-such-catalogue")) as connection:
        for wave in waves:
            enrolment = enrol_visits(connection, list(wave), kinship=pairs, strata=strata)
            assert seen.items() <= enrolment.samples.items()
            seen = dict(enrolment.samples)
        splits = split_of_eids(enrolment)
        assert all(splits[p.eid] == splits[p.relative_eid] for p in pairs if {p.eid, p.relative_eid} <= splits.keys())
        assert enrolment.num_divided_pairs == 0


def test_kinship_that_is_given_late_moves_nobody_and_is_counted(catalog: Any) -> None:
    before = enrol_visits(catalog, PEOPLE[:24])
    pairs = related((1, 2), (1, 3), (2, 12), (4, 13))
    after = enrol_visits(catalog, PEOPLE, kinship=pairs)
    assert before.samples.items() <= after.samples.items()
    assert (after.num_related_pairs, after.num_divided_pairs) == (4, 2)
    assert split_of_eids(after)[1_000_013] == split_of_eids(before)[1_000_004] == "train"


def test_the_catalogue_keeps_of_kinship_keys_of_those_who_take_part_and_not_longer_than_it_is_given(
    catalog: Any,
) -> None:
    enrol_visits(catalog, PEOPLE, kinship=related((2, 1), (1, 2), (1, 3), (1, 9_999)))
    keys = {eid: participant_key(SALT, 1_000_000 + eid) for eid in (1, 2, 3)}
    expected = {(*sorted((keys[1], keys[other])), 0.25) for other in (2, 3)}
    assert sorted(catalog.execute("SELECT * FROM kinship").fetchall()) == sorted(expected)
    shown = catalog.execute("SELECT count(*), count(DISTINCT sample_id) FROM relatives").fetchone()
    assert shown[0] == 2 * 2 * 2  # every visit of one with every visit of the other
    enrol_visits(catalog, PEOPLE, kinship=related((1, 2), (1, 3)), withdrawn_eids=frozenset({1_000_002}))
    assert catalog.execute("SELECT * FROM kinship").fetchall() == [(*sorted((keys[1], keys[3])), 0.25)]
    enrol_visits(catalog, PEOPLE)
    assert catalog.execute("SELECT count(*) FROM kinship").fetchone() == (0,)


def test_those_who_withdrew_connect_nobody(catalog: Any) -> None:
    pairs = related((1, 2), (2, 12))
    splits = split_of_eids(enrol_visits(catalog, PEOPLE, kinship=pairs, withdrawn_eids=frozenset({1_000_002})))
    assert (splits[1_000_001], splits[1_000_012]) == ("train", "test")


def test_every_split_has_its_share_of_every_stratum_over_several_ingests(catalog: Any) -> None:
    visits = [Visit(eid, 2) for eid in range(1_000_001, 1_000_121)]
    strata = {visit.eid: f"sex={visit.eid % 2}" for visit in visits}
    for number in (31, 72, 120):  # the strata of all are told each time
        splits = split_of_eids(enrol_visits(catalog, visits[:number], strata=strata))
        for stratum in ("sex=0", "sex=1"):
            found = Counter(split for eid, split in splits.items() if strata[eid] == stratum)
            assert abs(found["val"] - found.total() / 4) <= 1 and abs(found["test"] - found.total() / 4) <= 1


def test_a_lost_catalogue_gets_splits_back_that_depended_on_who_came_first(tmp_path: Path) -> None:
    strata = {visit.eid: str(visit.eid % 3) for visit in PEOPLE}
    options: dict[str, Any] = {"strata": strata, "kinship": related((1, 2), (5, 12), (12, 19))}
    with open_catalog(tmp_path / "one.duckdb", writable=True) as connection:
        enrol_visits(connection, PEOPLE[20:], **options)
        before = enrol_visits(connection, PEOPLE, **options)
    receipts = {sample.sample_id: sample for sample in before.samples.values()}
    old_receipts = {name: replace(sample, participant_key="") for name, sample in receipts.items()}
    for name, allocated in (("two", receipts), ("three", old_receipts)):
        with open_catalog(tmp_path / f"{name}.duckdb", writable=True) as connection:
            assert enrol_visits(connection, PEOPLE, allocated=allocated, **options).samples == before.samples
    with open_catalog(tmp_path / "four.duckdb", writable=True) as connection:
        assert split_of_eids(enrol_visits(connection, PEOPLE, **options)) != split_of_eids(before)
