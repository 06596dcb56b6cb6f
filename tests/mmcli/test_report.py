"""`mm report`: one page of a table's models."""

import json
import webbrowser
from pathlib import Path

import pytest

from tests.conftest import RunMm
from tests.mmcli.outcome import complaint


def test_a_table_becomes_a_page(table: Path, run_mm: RunMm, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = run_mm("report", "--results", table, "--output", page, "--title", "Mine & yours", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["page"], told["models"], told["targets"]) == (str(page), 2 * 7 + 2 * 32, 4)
    text = page.read_text()
    assert "<title>Mine &amp; yours</title>" in text and '"title":"Mine & yours"' in text
    assert str(tmp_path) not in text and '"page_command":[]' in text


def test_a_page_that_would_name_a_participant_is_not_written(table: Path, run_mm: RunMm, tmp_path: Path) -> None:
    title = "Without sub" + "-2345671"
    refused = run_mm("report", "--results", table, "--output", tmp_path / "report.html", "--title", title, "--figures")
    assert "what looks like the eid of a participant" in complaint(refused).replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_is_there_is_replaced_only_when_asked_to(table: Path, run_mm: RunMm, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("mine")
    refused = run_mm("report", "--results", table, "--output", page)
    assert f"{page} exists" in complaint(refused).replace("\n", "") and page.read_text() == "mine"
    assert run_mm("report", "--results", table, "--output", page, "--overwrite").exit_code == 0
    (page.parent / "figures").mkdir()
    (page.parent / "figures" / "mine.png").write_text("of the user")
    again = run_mm("report", "--results", table, "--output", page.with_name("other.html"), "--figures")
    assert "is there already" in complaint(again) and not page.with_name("other.html").exists()
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_a_page_is_an_html_file(table: Path, run_mm: RunMm, tmp_path: Path) -> None:
    assert "ends in .html" in complaint(run_mm("report", "--results", table, "--output", tmp_path / "report.pdf"))


def test_a_table_that_is_none_is_refused_before_anything_is_written(run_mm: RunMm, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    refused = run_mm("report", "--results", tmp_path / "table.csv", "--output", tmp_path / "report.html")
    assert "lacks the columns" in complaint(refused) and not (tmp_path / "report.html").exists()


def test_another_table_is_set_beside_a_table(table: Path, run_mm: RunMm, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = run_mm("report", "--results", table, "--beside", table, "--output", page, "--json")
    assert result.exit_code == 0, result.output
    (told,) = json.loads(result.stdout)["beside"]
    assert told.startswith("Compared with table.csv (published here): 78 cells of 4 targets.")
    assert "equal in 78" in told and '"beside":{"name":"table.csv"' in page.read_text()


def test_a_table_that_cannot_stand_beside_is_a_mistake_of_use(table: Path, run_mm: RunMm, tmp_path: Path) -> None:
    page, other = tmp_path / "report.html", tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    wrong = run_mm("report", "--results", table, "--beside", other, "--output", page)
    assert "lacks the columns" in complaint(wrong, exit_code=2)
    header, first, *_ = table.read_text().splitlines()
    other.write_text(f"{header}\n{first.replace('Age', 'Height')}\n")
    apart = run_mm("report", "--results", table, "--beside", other, "--output", page)
    assert "no target of this report" in complaint(apart, exit_code=2) and not page.exists()


def test_words_that_do_not_go_together_are_refused(table: Path, run_mm: RunMm, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert run_mm("report", "--results", table, "--name", "sweep", "--output", page).exit_code == 2
    assert run_mm("report", "--results", table, "--serve").exit_code == 2
    assert run_mm("report", "--results", table).exit_code == 2
    assert run_mm("report", "--serve", "--output", page).exit_code == 2


def test_a_study_without_a_sweep_says_how_to_get_one(run_mm: RunMm, copy: Path, tmp_path: Path) -> None:
    refused = run_mm("--study", copy, "report", "--output", tmp_path / "report.html")
    assert "no sweep yet" in complaint(refused) and "mm --study" in complaint(refused)


def test_the_page_is_opened_where_there_is_a_window(
    table: Path, run_mm: RunMm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: not opened.append(address))
    monkeypatch.setenv("DISPLAY", ":0")
    run_mm("report", "--results", table, "--output", tmp_path / "report.html", "--open")
    assert opened == [(tmp_path / "report.html").resolve().as_uri()]
