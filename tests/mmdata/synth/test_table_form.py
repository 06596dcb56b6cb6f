import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from mmdata.sources.ukb import find_release
from mmdata.synth.kinship import write_kinship
from mmdata.synth.plan import plan_release
from mmdata.synth.table import write_withdrawals
from mmdata.synth.table_form import TABLE_FORMS, TableForm, table_name, write_table

PLAN = plan_release(11, 40)


def write(folder: Path, form: TableForm) -> list[str]:
    """Return a form's lines."""
    assert write_table(folder, form, 11, PLAN) == 44
    return (folder / table_name(form)).read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ("ukbconv-csv", ('"eid"', '"31-0.0"', '"34-0.0"', '"53-0.0"')),
        ("ukbconv-tab", ("f.eid", "f.31.0.0", "f.34.0.0", "f.53.0.0")),
        ("rap", ("participant.eid", "participant.p31", "participant.p34", "participant.p53_i0")),
        ("rap-tsv", ("eid", "p31", "p34", "p53_i0")),
        ("rap-labels", ("eid", "p31", "p34", "p53_i0")),
        ("rap-multiselect", ("eid", "p31", "p34", "p53_i0")),
    ],
)
def test_each_form_has_headers_of_its_own(tmp_path: Path, form: TableForm, headers: tuple[str, ...]) -> None:
    separator = "\t" if form in ("ukbconv-tab", "rap-tsv") else ","
    assert tuple(write(tmp_path, form)[0].split(separator)[:4]) == headers


def test_every_cell_of_ukbconvs_csv_is_quoted_and_none_of_its_tab_form_is_empty(tmp_path: Path) -> None:
    assert all(cell[0] == cell[-1] == '"' for line in write(tmp_path, "ukbconv-csv") for cell in line.split(","))
    cells = [cell for line in write(tmp_path, "ukbconv-tab") for cell in line.split("\t")]
    assert "NA" in cells and "" not in cells


def test_only_raw_forms_give_each_answer_a_column(tmp_path: Path) -> None:
    for form in TABLE_FORMS:
        (header,) = csv.reader([write(tmp_path, form)[0].replace("\t", ",")])
        of_field = [name for name in header if "6150" in name]
        assert len(of_field) == (4 if form in ("rap-labels", "rap-multiselect") else 16), form


def test_labels_stand_for_every_code(tmp_path: Path) -> None:
    header, *rows = csv.reader(write(tmp_path, "rap-labels"))
    cells = {name: {row[place] for row in rows} for place, name in enumerate(header)}
    assert cells["p31"] == {"Female", "Male"}
    assert {"Never", "Previous"} <= cells["p20116_i0"] <= {"", "Never", "Previous", "Current", "Prefer not to answer"}
    assert "Asthma|Hayfever, allergic rhinitis or eczema" in {c for n, cs in cells.items() if "p6152" in n for c in cs}
    assert not any(cell.lstrip("-").isdigit() for name in cells if "p19" in name for cell in cells[name])
    assert any(cell.startswith("Code has") for name in cells if name.startswith("p131") for cell in cells[name])


@pytest.mark.parametrize("form", TABLE_FORMS)
def test_every_form_is_found_as_a_table_and_the_file_of_relatives_is_not(tmp_path: Path, form: TableForm) -> None:
    write(tmp_path, form)
    write_kinship(tmp_path / "ukb_rel.dat", 11, PLAN)
    write_withdrawals(tmp_path / "w12345_20260101.csv", 11, PLAN)
    found = find_release([tmp_path])
    assert [path.name for path in found.tables] == [table_name(form)]
    assert [path.name for path in found.withdrawal_lists] == ["w12345_20260101.csv"]
    assert found.passed_over == ()


def test_a_release_has_the_form_that_was_asked_for_in_place_of_its_own(written: Callable[..., Path]) -> None:
    release = written(participants=4, table_form="rap-labels")
    assert "Female" in (release / "participant.csv").read_text()
    assert not (release / "ukb_synthetic.csv").exists()
    assert (
        "\nparticipant.csv       the table as the table exporter writes it, labels"
        in (release / "README.txt").read_text()
    )
