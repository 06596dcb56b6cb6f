"""What the tables of a BIDS dataset come to, from files' names to features; no image is read."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from catalog.database import Connection, open_scratch
from catalog.features import SAMPLE_SCHEMA, derive_features, wanted_fields, wanted_names
from catalog.fields import load_dictionary
from catalog.registration import Registration, StudyRules, register
from catalog.tables.reports import TableReport
from catalog.tables.tables import read_tables
from mmbase.records import FoundSources
from mmdata.sources.bids import find_bids
from mmdata.volume.settings import VolumeSettings
from mmstudy.summaries import table_warnings

Values = dict[str, dict[str, float]]
"""Feature to value by ``label/visit``."""
Make = Callable[..., Path]
DICTIONARY = load_dictionary()


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a dataset: images that are empty files, by label and session, and texts by path."""

    def write(images: Mapping[str, str], texts: Mapping[str, Any]) -> Path:
        for label, sessions in images.items():
            for session in sessions.split():
                folder = tmp_path / f"sub-{label}" / ("" if session == "-" else f"ses-{session}") / "anat"
                folder.mkdir(parents=True)
                entity = "" if session == "-" else f"_ses-{session}"
                (folder / f"sub-{label}{entity}_T1w.nii.gz").touch()
        for name, content in texts.items():
            text = content if isinstance(content, str | bytes) else json.dumps(content)
            (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path

    return write


def read(root: Path) -> tuple[Values, Sequence[TableReport]]:
    """Return the features of a dataset's samples, and what its tables were like."""
    found = find_bids(root, VolumeSettings())
    visits = {scan.visit for scan in found.scans}
    names = {visit: f"{found.labels.get(visit.eid, visit.eid)}/{visit.instance}" for visit in visits}
    tables = read_tables(
        found.tables,
        wanted_fields(DICTIONARY),
        wanted_names(DICTIONARY),
        {visit.eid for visit in visits},
        labels=found.labels,
        visit_tables=found.visit_tables,
        sessionless=found.sessionless,
    )
    rows = [(name, visit.eid, visit.instance) for visit, name in names.items()]
    derived = derive_features(tables, pl.DataFrame(rows, schema=SAMPLE_SCHEMA, orient="row"), DICTIONARY)
    values = {name: dict(frame.select("sample_id", "value").iter_rows()) for name, frame in derived}
    return {name: of_name for name, of_name in values.items() if of_name}, tables.reports


def warnings_of(reports: Sequence[TableReport]) -> str:
    said = "\n".join(line for report in reports for line in table_warnings(report))
    assert not re.search(r"sub-\d", said), "no participant is named"
    return said


def enter(catalog: Connection, found: FoundSources) -> Registration:
    rules = StudyRules(salt="salt-of-the-test-study", val=0.1, test=0.1, modalities=["t1"], dictionary=DICTIONARY)
    return register(catalog, found, rules, withdrawn_eids=frozenset(), withdrawn_keys=frozenset(), allocated={})


TWO_SESSIONS = "participant_id\tsession_id\tsex\tage\nsub-01\tses-1\tM\t60\nsub-01\tses-2\tM\t63\n"


def test_every_session_has_its_own_value(make: Make) -> None:
    values, reports = read(make({"01": "1 2"}, {"participants.tsv": TWO_SESSIONS}))
    assert values == {"age": {"01/1": 60, "01/2": 63}, "sex": {"01/1": 1, "01/2": 1}}
    assert warnings_of(reports) == ""


def test_a_session_whose_value_is_missing_has_none_and_that_is_told(make: Make) -> None:
    root = make({"01": "2"}, {"participants.tsv": TWO_SESSIONS.replace("63", "n/a")})
    assert read(root)[0] == {"sex": {"01/2": 1}}
    with open_scratch(root / "catalog.duckdb") as catalog:
        assert enter(catalog, find_bids(root, VolumeSettings())).unplaced == {"age": 1}
        assert catalog.execute("SELECT name, value, instance FROM features").fetchall() == [("sex", 1.0, 2)]


def test_sessions_tables_speak_before_the_table_of_participants(make: Make) -> None:
    texts = {
        "participants.tsv": "participant_id\tsex\tage\nsub-01\tM\t60\nsub-02\tF\t50\n",
        "sub-01/sub-01_sessions.tsv": "session_id\tage\nses-1\t720\nses-2\tn/a\n",
        "sessions.json": {"age": {"Units": "months"}},
    }
    values, reports = read(make({"01": "1 2", "02": "1"}, texts))
    assert values == {"age": {"01/1": 60, "02/1": 50}, "sex": {"01/1": 1, "01/2": 1, "02/1": 0}}
    assert [report.name for report in reports] == ["participants.tsv", "sub-*_sessions.tsv"]


def test_acquisition_times_are_the_dates_of_scans(make: Make) -> None:
    times = "filename\tacq_time\nanat/sub-01_ses-2_T1w.nii.gz\t2019-05-01T10:00:00\n"
    values, _ = read(make({"01": "1 2"}, {"sub-01/ses-2/sub-01_ses-2_scans.tsv": times}))
    assert values == {"scan_date": {"01/2": 18017}}


def test_images_without_a_session_have_the_values_of_the_only_session_and_of_no_other(make: Make) -> None:
    texts = {
        "sub-01/sub-01_sessions.tsv": "session_id\tage\nses-baseline\t60\n",
        "sub-02/sub-02_sessions.tsv": "session_id\tage\nses-1\t50\nses-2\t53\n",
    }
    assert read(make({"01": "-", "02": "-"}, texts))[0] == {"age": {"01/2": 60}}


@pytest.mark.parametrize("spelled", ["sub-{}", "{}"])
def test_leading_zeros_that_a_spreadsheet_took_are_given_back_and_told(make: Make, spelled: str) -> None:
    rows = "".join(f"{spelled.format(number)}\t{50 + number}\n" for number in (0, 1, 2))
    root = make({"00": "-", "01": "-", "02": "-"}, {"participants.tsv": f"participant_id\tage\n{rows}"})
    values, reports = read(root)
    assert values == {"age": {"00/2": 50, "01/2": 51, "02/2": 52}}
    assert "spells 3 participants with other leading zeros than the images do" in warnings_of(reports)


def test_a_label_that_may_be_two_people_is_nobodys_and_told(make: Make) -> None:
    root = make({"01": "-", "1": "-"}, {"participants.tsv": "participant_id\tage\n001\t60\nsub-1\t50\n"})
    values, reports = read(root)
    assert values == {"age": {"1/2": 50}}
    assert "has 1 labels whose leading zeros differ from the images'" in warnings_of(reports)


def test_labels_are_matched_again_when_only_the_catalogue_knows_the_images(make: Make) -> None:
    root = make({"01": "-"}, {"participants.tsv": "participant_id\tage\n1\t60\n"})
    found = find_bids(root, VolumeSettings())
    empty = type(found)(scans=(), tables=found.tables)
    with open_scratch(root / "catalog.duckdb") as catalog:
        for sources in (found, empty):
            enter(catalog, sources)
            assert catalog.execute("SELECT value FROM features WHERE name = 'age'").fetchall() == [(60.0,)]


CASES = {
    "CR": (b"participant_id\tsex\tage\rsub-01\tM\t60\rsub-02\tF\t50\r", {}, ""),
    "comma": ("participant_id,sex,age\nsub-01,M,60\nsub-02,F,50\n", {}, ""),
    "quotes": ('"participant_id"\t"sex"\t"age"\n"sub-01"\t"M"\t"60"\n"sub-02"\t"F"\t"50"\n', {}, ""),
    "blanks": ("participant_id \t sex\tage\nsub-01 \tM \t 60\nsub-02\t F\t50 \n", {}, ""),
    "BOM, CRLF": (b"\xef\xbb\xbfParticipant_ID\tSEX\tAge\r\n01\tmale\t60\r\n02\tFemale\t50\r\n", {}, ""),
    "decimal comma": ("participant_id\tsex\tage\nsub-01\tM\t60,0\nsub-02\tF\t50,00\n", {}, ""),
    "repeated row": ("participant_id\tsex\tage\nsub-01\tM\t60\nsub-01\tM\t60\nsub-02\tF\t50\n", {}, ""),
    "codes": (
        "participant_id\tsex\tage\nsub-01\t1\t60\nsub-02\t2\t50\n",
        {"sex": {"Levels": {"1": "male", "2": "female"}}},
        "",
    ),
    "reversed": (
        "participant_id\tsex\tage\nsub-01\t0\t720\nsub-02\t1\t600\n",
        {"sex": {"Levels": {"0": "Male", "1": "Female"}}, "age": {"Units": "months"}},
        "",
    ),
    "two columns": (
        "participant_id\tparticipant_id\tsex\tage\nsub-01\tX1\tM\t60\nsub-02\tX2\tF\t50\n",
        {},
        "participants.tsv has the column of participants twice; the first counts.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_way_to_write_the_same_table_means_the_same(make: Make, case: str) -> None:
    table, described, warning = CASES[case]
    texts = {"participants.tsv": table, **({"participants.json": described} if described else {})}
    values, reports = read(make({"01": "-", "02": "-"}, texts))
    assert values == {"age": {"01/2": 60, "02/2": 50}, "sex": {"01/2": 1, "02/2": 0}}
    assert warnings_of(reports) == warning


@pytest.mark.parametrize(
    ("table", "described", "expected", "warning"),
    [
        (
            "sub-01\tM\t60\nsub-02\tF\t89+\n",
            {},
            {"age": {"01/2": 60}, "sex": {"01/2": 1, "02/2": 0}},
            "participants.tsv, column age: the values of 1 of 2 rows cannot be understood and are left out.",
        ),
        (
            "sub-01\tM\t60\nsub-02\tO\t50\n",
            {},
            {"age": {"01/2": 60, "02/2": 50}, "sex": {"01/2": 1}},
            "participants.tsv, column sex: the values of 1 of 2 rows cannot be understood and are left out.",
        ),
        (
            "sub-01\tM\t20-25\nsub-02\tF\t25-30\n",
            {},
            {"sex": {"01/2": 1, "02/2": 0}},
            "participants.tsv, column age: not read, because 2 of 2 values cannot be understood. Expected numbers",
        ),
        (
            "sub-01\t1\t60\nsub-02\t2\t50\n",
            {},
            {"age": {"01/2": 60, "02/2": 50}},
            "column sex: not read, because 1 of 2 values are numbers other than 0, 1 (0 female, 1 male). Say what they",
        ),
        (
            "sub-01\tM\t60\nsub-02\tF\t50\n",
            {"age": {"Units": "fortnights"}},
            {"sex": {"01/2": 1, "02/2": 0}},
            "column age: not read, because its unit is given as 'fortnights', and nothing says how that becomes years",
        ),
        (
            "sub-01\tM\t60\nsub-01\tF\t60\nsub-02\tF\t50\n",
            {},
            {"age": {"01/2": 60, "02/2": 50}, "sex": {"02/2": 0}},
            "",
        ),
    ],
)
def test_what_is_not_understood_is_left_out_and_told_and_the_rest_is_read(
    make: Make, table: str, described: Any, expected: Values, warning: str
) -> None:
    texts = {"participants.tsv": f"participant_id\tsex\tage\n{table}", "participants.json": described}
    values, reports = read(make({"01": "-", "02": "-"}, texts))
    assert values == expected
    said = warnings_of(reports)
    assert warning in said and bool(warning) == bool(said)


def test_a_table_of_which_nothing_is_recognised_says_so(make: Make) -> None:
    root = make({"01": "-"}, {"participants.tsv": "participant_id\tdiagnosis\tiq_1234567\nsub-01\tx\t1\n"})
    said = warnings_of(read(root)[1])
    assert said.startswith("No column of participants.tsv was recognised; it has diagnosis, iq_… … Expected fields")
