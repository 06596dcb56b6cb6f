import csv
import tomllib
from collections import defaultdict
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import catalog
from catalog.fields import MISSING_DATES, load_dictionary
from catalog.tables.codings import find_labels, fold

CONTENT: dict[str, Any] = tomllib.loads(
    (Path(catalog.__file__).parent / "ukb_codings.toml").read_text(encoding="utf-8")
)
EPOCH = date(1970, 1, 1)


def showcase(name: str) -> dict[str, set[int]]:
    """Return codes by label of a coding, from the copy of UK Biobank's showcase that FUNPACK brings along."""
    lines = files("funpack.schema").joinpath(name).read_text(encoding="utf-8").splitlines()
    codes = defaultdict(set)
    for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
        codes[row["meaning"].lower()].add(int(row["coding"]))
    return codes


def test_every_field_names_the_coding_that_the_showcase_gives_it() -> None:
    lines = files("funpack.schema").joinpath("field.txt").read_text(encoding="latin-1").splitlines()
    rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    coding_of = {int(row["field_id"]): int(row["encoding_id"]) for row in rows}
    listed = {field: entry["coding"] for entry in CONTENT["codings"] for field in entry["fields"]}
    assert listed == {field: coding_of[field] for field in listed}
    fields = {field for definition in load_dictionary().values() for field in definition.fields}
    dates, positions = {131286, 131494, 131720}, {25756, 25757, 25758, 25759}  # these hold codes beside dates, numbers
    assert {field for field in fields if coding_of[field]} == listed.keys() | dates | positions


@pytest.mark.parametrize(("coding", "name"), [(6, "hierarchy/coding6.tsv"), (100605, "coding/coding100605.tsv")])
def test_labels_have_the_codes_that_the_showcase_gives_them(coding: int, name: str) -> None:
    (entry,) = [entry for entry in CONTENT["codings"] if entry["coding"] == coding]
    known = showcase(name)
    assert {label: known[label] for label in entry["labels"]} == {
        label: {code} for label, code in entry["labels"].items()
    }
    if "other" not in entry:
        assert known.keys() == entry["labels"].keys()


def test_every_coding_has_as_many_codes_as_the_showcase_says() -> None:
    lines = files("funpack.schema").joinpath("encoding.txt").read_text(encoding="latin-1").splitlines()
    rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    num_members = {int(row["encoding_id"]): int(row["num_members"]) for row in rows}
    closed = [entry for entry in CONTENT["codings"] if "other" not in entry]
    assert len(closed) == 7
    for entry in closed:
        assert len(set(entry["labels"].values())) == num_members[entry["coding"]], entry["coding"]


def test_labels_are_written_as_they_are_compared() -> None:
    labels = [*CONTENT["everywhere"], *CONTENT["dates"]]
    labels += [label for entry in CONTENT["codings"] for label in entry["labels"]]
    assert labels == [fold(label) for label in labels]


@pytest.mark.parametrize(
    ("label", "folded"), [("  Male ", "male"), ("Do  not\tknow", "do not know"), ("Participant’s", "participant's")]
)
def test_case_blanks_and_curly_apostrophes_do_not_matter(label: str, folded: str) -> None:
    assert fold(label) == folded


UNKNOWN_LABELS = range(25756, 25760)
"""Positions in the scanner: what their code for a missing value (coding 1317) is called is not known."""


def test_codes_of_the_dictionary_have_labels() -> None:
    for definition in load_dictionary().values():
        for field, codes in [(definition.field, definition.missing), *((p.field, p.codes) for p in definition.any_of)]:
            if field is not None and field not in UNKNOWN_LABELS and codes:
                assert find_labels(field, codes, is_date=False).can_tell(codes), field


def test_no_answer_is_believed_only_where_a_definition_speaks_of_its_code() -> None:
    assert find_labels(4080, {-1, 7}, is_date=False).codes == {"do not know": -1}
    assert find_labels(4080, (), is_date=False).codes == {}
    assert not find_labels(20401, {-818, 1}, is_date=False).can_tell({-818, 1})
    assert find_labels(4080, {-1, -3}, is_date=False).can_tell({-1, -3})


def test_illnesses_that_are_not_listed_stand_for_another() -> None:
    labels = find_labels(20002, {1065}, is_date=False)
    assert labels.other == 99999 and labels.is_known
    assert find_labels(31, (), is_date=False).other is None


def test_labels_of_dates_are_the_missing_dates() -> None:
    days = set(find_labels(131286, (), is_date=True).codes.values())
    assert days == {float((date.fromisoformat(text) - EPOCH).days) for text in MISSING_DATES} - {
        float((date(1909, 9, 9) - EPOCH).days)
    }
    assert "code has no event date" not in find_labels(131286, (), is_date=False).codes
