from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from catalog.cohorts import build_cohort, write_cohort
from catalog.database import open_catalog
from catalog.errors import CohortError, UnknownTargetError
from catalog.records import EnrolledSample, ScanOutcome, Visit
from catalog.samples import enrol
from catalog.scans import record_outcomes, record_sources

VISITS = [Visit(eid, 2) for eid in range(1_000_001, 1_000_061)]


@pytest.fixture
def samples(catalog: Any) -> list[EnrolledSample]:
    """60 enrolled samples in the order of rows: all have t1, every even row has flair."""
    samples = sorted(enrol(catalog, VISITS, salt="s" * 16, val=0.25, test=0.25).samples.values(), key=lambda s: s.row)
    record_sources(catalog, {}, [], ["t1", "flair"])
    record_outcomes(
        catalog,
        [
            ScanOutcome(sample_id=s.sample_id, modality=modality, status=status, reason="", detail="", measures={})
            for s in samples
            for modality, status in (("t1", "stored"), ("flair", "rejected" if s.row % 2 else "stored"))
        ],
    )
    return samples


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Any]:
    with open_catalog(tmp_path / "catalog.duckdb", writable=True) as connection:
        yield connection


def give(catalog: Any, name: str, values: dict[str, float]) -> None:
    catalog.executemany(
        "INSERT INTO feature (sample_id, name, value) VALUES (?, ?, ?)", [[s, name, v] for s, v in values.items()]
    )


@pytest.fixture
def aged(catalog: Any, samples: list[EnrolledSample]) -> list[EnrolledSample]:
    """The samples, all but rows 0 and 1 with an age, rows below 30 with an LDL."""
    give(catalog, "age", {s.sample_id: 50.0 + s.row for s in samples if s.row > 1})
    give(catalog, "LDL", {s.sample_id: s.row / 10 for s in samples if s.row < 30})
    return samples


@pytest.mark.parametrize(
    ("modalities", "rows"),
    [([], range(2, 60)), (["t1"], range(2, 60)), (["flair"], range(2, 60, 2)), (["t1", "flair"], range(2, 60, 2))],
)
def test_a_cohort_has_exactly_the_complete_cases_in_the_order_of_rows(
    catalog: Any, aged: list[EnrolledSample], modalities: list[str], rows: range
) -> None:
    cohort = build_cohort(catalog, "age", modalities, [])
    assert cohort["row"].to_list() == list(rows)
    assert cohort["target"].to_list() == [50.0 + row for row in rows]
    expected = [(aged[row].sample_id, aged[row].split) for row in rows]
    assert cohort.select("sample_id", "split").rows() == expected


def test_a_missing_feature_is_null_and_drops_nobody(catalog: Any, aged: list[EnrolledSample]) -> None:
    cohort = build_cohort(catalog, "age", ["t1"], ["LDL", "Hb"])
    assert cohort.columns == ["sample_id", "row", "split", "target", "weight", "feature_LDL", "feature_Hb"]
    assert cohort["feature_LDL"].to_list() == [row / 10 if row < 30 else None for row in range(2, 60)]
    assert cohort["feature_Hb"].null_count() == cohort.height == 58


def test_a_cohort_file_names_no_eid(catalog: Any, aged: list[EnrolledSample], tmp_path: Path) -> None:
    path = tmp_path / "cohort.parquet"
    cohort = build_cohort(catalog, "age", ["t1"], ["LDL"])
    write_cohort(cohort, path)
    read = pl.read_parquet(path)
    assert read.equals(cohort)
    assert "eid" not in read.columns
    numbers = {value for column in read.select(pl.selectors.numeric()) for value in column.drop_nulls()}
    assert numbers.isdisjoint(visit.eid for visit in VISITS)
    assert not any(str(visit.eid).encode() in path.read_bytes() for visit in VISITS)


def test_the_withdrawn_are_in_no_cohort(catalog: Any, aged: list[EnrolledSample]) -> None:
    gone = catalog.execute("SELECT eid FROM samples WHERE row = 10").fetchone()[0]
    enrol(catalog, VISITS, salt="s" * 16, val=0.25, test=0.25, withdrawn_eids=frozenset({gone}))
    assert build_cohort(catalog, "age", ["t1"], [])["row"].to_list() == [r for r in range(2, 60) if r != 10]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_too_few_samples_of_a_split_are_refused(catalog: Any, samples: list[EnrolledSample], split: str) -> None:
    others = [s for s in samples if s.split != split]
    few = [s for s in samples if s.split == split][: 7 if split == "train" else 1]
    give(catalog, "age", {s.sample_id: 60.0 for s in [*others, *few]})
    refused = rf"Only {len(few)} {split} samples have a value of age and t1 stored; at least {len(few) + 1}"
    with pytest.raises(CohortError, match=refused):
        build_cohort(catalog, "age", ["t1"], [])


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_one_class_alone_is_refused(catalog: Any, samples: list[EnrolledSample], split: str) -> None:
    give(catalog, "sex", {s.sample_id: float(s.split != split and s.row % 2) for s in samples})
    with pytest.raises(CohortError, match=rf"All \d+ {split} samples .* have the same sex"):
        build_cohort(catalog, "sex", ["t1"], [])


def test_an_unknown_target_is_refused(catalog: Any, samples: list[EnrolledSample]) -> None:
    with pytest.raises(UnknownTargetError, match="Did you mean age"):
        build_cohort(catalog, "agee", ["t1"], [])
