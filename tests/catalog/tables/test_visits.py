import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from catalog.errors import TableError
from catalog.features import wanted_names
from catalog.fields import load_dictionary
from catalog.tables.tables import TableValues, read_tables
from mmbase.records import VisitTable

NAMES = wanted_names(load_dictionary())


def table_of(
    folder: Path, eid: int, content: str | bytes, instance: int | None = None, sidecars: tuple[Path, ...] = ()
) -> VisitTable:
    kind: Literal["sessions", "scans"] = "sessions" if instance is None else "scans"
    path = folder / f"sub-{eid}_{instance}_{kind}.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return VisitTable(path=path, eid=eid, kind=kind, instance=instance, sidecars=sidecars)


def json_of(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(content))
    return path


def read(*tables: VisitTable, sessionless: Mapping[int, bool] | None = None, **named: Path) -> TableValues:
    eids = {table.eid for table in tables}
    return read_tables([*named.values()], {}, NAMES, eids, visit_tables=tables, sessionless=sessionless)


def test_each_row_of_a_sessions_table_is_of_its_session(tmp_path: Path) -> None:
    values = read(
        table_of(tmp_path, 1, "session_id\tage\tacq_time\nses-2\t60\t2019-05-01T10:00:00\nses-M12\t61\tn/a\n"),
        table_of(tmp_path, 2, '\ufeffsession_id\tgroup\tSex\tage\r\n"baseline"\tx\tF\t 50 \r\n\r\nn/a\tx\tM\t70\r\n'),
        table_of(tmp_path, 3, "session_id\rses-2\r"),
    )
    assert values.of_name("age").rows() == [(1, 2, 60.0), (1, 12, 61.0), (2, 0, 50.0), (3, 2, None)]
    assert values.of_name("sex").rows() == [(1, 2, None), (1, 12, None), (2, 0, 0.0), (3, 2, None)]
    assert values.of_name("scan_date").rows()[0] == (1, 2, 18017.0)
    (report,) = values.reports
    assert (report.name, report.num_participants, report.num_rows) == ("sub-*_sessions.tsv", 3, 5)
    assert (report.is_joined, report.num_unused_files, report.num_recognised) == (True, 0, 3)


def test_rows_of_a_visits_files_are_of_that_visit(tmp_path: Path) -> None:
    times = "filename\tacq_time\nanat/a.nii\t2019-05-01T10:00:00\nfunc/b.nii\t2019-05-01T11:00:00\n"
    values = read(table_of(tmp_path, 1, times, 2), table_of(tmp_path, 1, times.replace("05-01", "05-03", 1), 3))
    assert values.of_name("scan_date").rows() == [(1, 2, 18017.0), (1, 3, None)]
    assert (values.reports[0].num_contradictions, values.reports[0].num_repeated) == (1, 0)


def test_rows_of_one_session_that_differ_give_nothing_and_are_counted(tmp_path: Path) -> None:
    values = read(table_of(tmp_path, 1, "session_id\tage\tsex\n2\t60\tF\n2\t61\tF\n3\t63\tF\n3\t63\tF\n"))
    assert values.of_name("age").rows() == [(1, 2, None), (1, 3, 63.0)]
    assert (values.reports[0].num_contradictions, values.reports[0].num_repeated) == (1, 2)


def test_a_person_of_two_sexes_has_none_whichever_tables_say_so(tmp_path: Path) -> None:
    table = table_of(tmp_path, 1, "session_id\tsex\n2\tF\n3\tM\n4\t\n")
    values = read(table, table_of(tmp_path, 2, "session_id\tsex\n2\tF\n3\tF\n"))
    assert values.of_name("sex").drop_nulls().rows() == [(2, 2, 0.0), (2, 3, 0.0)]
    assert values.reports[0].num_contradictions == 1
    (tmp_path / "participants.tsv").write_text("participant_id\tsex\nsub-2\tM\n")
    with pytest.raises(TableError, match=r"participants\.tsv, sub-\*_sessions\.tsv give different values .* in sex\."):
        read(table, table_of(tmp_path, 2, "session_id\tsex\n2\tF\n"), participants=tmp_path / "participants.tsv")


def test_the_nearest_description_of_a_column_counts(tmp_path: Path) -> None:
    shared = json_of(tmp_path / "sessions.json", {"age": {"Units": "months"}, "sex": {"Levels": {"1": "female"}}})
    own = json_of(tmp_path / "sub-2_sessions.json", {"age": {"Units": "years"}})
    values = read(
        table_of(tmp_path, 1, "session_id\tage\tsex\n2\t600\t1\n", sidecars=(shared,)),
        table_of(tmp_path, 2, "session_id\tage\tsex\n2\t51\t1\n", sidecars=(shared, own)),
    )
    assert values.of_name("age").rows() == [(1, 2, 50.0), (2, 2, 51.0)]
    assert values.of_name("sex").rows() == [(1, 2, 0.0), (2, 2, 0.0)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"age\n60\n",
        b"session_id\tage\n2\n",
        b"session_id\tage\n2\t60\t1\n",
        b"session_id\tage\tAGE\n2\t60\t60\n",
        'session_id\tage\n"2\t60\n',
        "session_id\tage\n2\t60\n".encode("utf-16"),
    ],
)
def test_a_file_that_is_no_table_of_sessions_is_passed_over_and_counted(tmp_path: Path, content: str | bytes) -> None:
    values = read(table_of(tmp_path, 1, content), table_of(tmp_path, 2, "session_id\tage\n2\t60\n"))
    assert values.of_name("age").rows() == [(2, 2, 60.0)]
    assert sum(report.num_unused_files for report in values.reports) == 1


def test_a_file_that_is_not_there_or_badly_described_is_passed_over_and_counted(tmp_path: Path) -> None:
    broken = tmp_path / "sub-2_sessions.json"
    broken.write_text("{")
    gone = VisitTable(path=tmp_path / "gone.tsv", eid=1, kind="sessions")
    pipe = VisitTable(path=tmp_path / "pipe.tsv", eid=3, kind="sessions")
    os.mkfifo(pipe.path)
    values = read(gone, pipe, table_of(tmp_path, 2, "session_id\tage\n2\t60\n", sidecars=(broken,)))
    assert values.of_name("age").is_empty()
    assert values.reports[0].num_unused_files == 3
    shared = broken.rename(tmp_path / "sessions.json")
    with pytest.raises(TableError, match=r"sessions\.json cannot be read: it is no JSON"):
        read(table_of(tmp_path, 2, "session_id\tage\n2\t60\n", sidecars=(shared,)))


def test_the_only_session_is_that_of_images_without_one_and_of_several_none_is(tmp_path: Path) -> None:
    one, two = "session_id\tage\nses-1\t60\n", "session_id\tage\nses-2\t60\nses-3\t63\n"
    tables = [table_of(tmp_path, eid, content) for eid, content in ((1, one), (2, two), (3, one), (4, two))]
    found = read(*tables, sessionless={1: True, 2: True, 3: False}).of_name("age").rows()
    assert found == [(1, 2, 60.0), (2, -1, 60.0), (2, 3, 63.0), (3, 1, 60.0), (4, 2, 60.0), (4, 3, 63.0)]


def test_columns_that_no_feature_has_are_shown_of_sessions_and_not_of_files(tmp_path: Path) -> None:
    sessions = table_of(tmp_path, 1, "session_id\tgroup\tiq\n2\tx\t100\n")
    values = read(sessions, table_of(tmp_path, 1, "filename\toperator\nanat/a.nii\tx\n", 2))
    assert [report.unrecognised for report in values.reports] == [("group", "iq"), ()]
