import duckdb

from catalog.audit.scans import SimilarScans, held_out_rows, record_similar_scans, stored_scans


def test_only_stored_scans_of_participants_who_stay_are_compared(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("INSERT INTO withdrawn SELECT participant_key FROM sample WHERE row = 3")
    clean.execute(
        "UPDATE scan_outcome SET status = 'rejected' WHERE modality = 't1' AND sample_id = "
        "(SELECT sample_id FROM sample WHERE row = 4)"
    )
    gone = {row for (row,) in clean.execute("SELECT row FROM sample ANTI JOIN samples USING (row)").fetchall()}
    scans = stored_scans(clean, "t1")
    rows = [scan.row for scan in scans]
    assert rows == sorted(set(range(620)) - gone - {4})
    assert 4 in [scan.row for scan in stored_scans(clean, "flair")]
    assert (scans[0].sample_id, scans[0].participant_key) == clean.execute(
        "SELECT sample_id, participant_key FROM sample WHERE row = 0"
    ).fetchall()[0]


def test_held_out_rows_are_those_of_validation_and_test(clean: duckdb.DuckDBPyConnection) -> None:
    rows = clean.execute("SELECT row FROM sample WHERE split IN ('val', 'test')").fetchall()
    assert held_out_rows(clean) == {row for (row,) in rows}


def test_a_new_comparison_takes_the_place_of_the_last_of_its_modality(kept_clean: duckdb.DuckDBPyConnection) -> None:
    clean = kept_clean
    one, other, third = (scan.sample_id for scan in stored_scans(clean, "t1")[:3])
    record_similar_scans(clean, "t1", [SimilarScans(one, other, 0.97), SimilarScans(one, third, 0.98)])
    record_similar_scans(clean, "flair", [SimilarScans(other, third, 0.99)])
    record_similar_scans(clean, "t1", [SimilarScans(one, third, 0.96)])
    found = clean.execute("SELECT * FROM similar_scans ORDER BY modality").fetchall()
    assert found == [(other, third, "flair", 0.99), (one, third, "t1", 0.96)]
    record_similar_scans(clean, "t1", [])
    assert clean.execute("SELECT modality FROM similar_scans").fetchall() == [("flair",)]
