"""The report of a real sweep, from its runs to the page and its figures."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mmdata.study import Study
from mmstudy.comparison.published_table import published_csv_of_scores
from mmstudy.report import files
from mmstudy.report.facts import StudyFacts
from mmstudy.report.serving import PageServer
from mmstudy.sweep.cells import Cell
from tests.conftest import RunMm
from tests.mmcli.outcome import complaint
from tests.mmstudy.comparison.made_up import score_row, table
from tests.mmstudy.report.page.test_page import embedded
from tests.mmstudy.sweep.made_sweep import begin, do


def write_other_table(folder: Path) -> Path:
    """Write scores of age, as of another study, from one of the two sets of the sweep and from another set."""
    cells = [Cell(target="age", inputs=inputs) for inputs in (("flair",), ("flair", "t1"))]
    path = folder / "other.csv"
    path.write_text(published_csv_of_scores(table([score_row(cell, 0.5) for cell in cells])))
    return path


def serve_once(monkeypatch: pytest.MonkeyPatch, run_mm: RunMm, *words: object) -> str:
    """Return the page that is served at first, and end the serving."""
    pages: list[str] = []

    def answer(server: PageServer) -> None:
        pages.append(server.page.text())
        raise KeyboardInterrupt

    monkeypatch.setattr(PageServer, "serve_forever", answer)
    assert run_mm(*words, "--serve").exit_code == 0
    return pages[0]


def test_a_sweep_is_reported_and_what_shows_its_people_goes_with_a_withdrawal(
    own_study: Study, run_mm: RunMm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do(own_study, begin(own_study))
    root, other = own_study.layout.root, write_other_table(tmp_path)
    page = root / "report" / "report.html"
    page.parent.mkdir()
    result = run_mm("--study", root, "report", "--beside", other, "--output", page, "--figures", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["models"], told["targets"]) == (4, 1)
    assert {path.name for path in (page.parent / "figures").iterdir()} == set(told["figures"])
    assert {"distributions.png", "beside-separate-fusion.csv"} <= set(told["figures"])
    assert "1 cell of 1 target." in told["beside"][0]

    served = serve_once(monkeypatch, run_mm, "--study", root, "report", "--beside", other)
    assert embedded(served)["beside"] == embedded(page.read_text(encoding="utf-8"))["beside"]
    other.write_text(other.read_text().replace("Age", "Height"))
    refused = run_mm("--study", root, "report", "--beside", other, "--serve")
    assert "no target of this report" in complaint(refused, exit_code=2)

    text = page.read_text(encoding="utf-8")
    assert str(root) not in text
    runs = embedded(text)["runs"]
    assert len(runs["name"]) == 4
    for run, address in zip(runs["name"], runs["page"], strict=True):
        has_page = (root / "runs" / run / "report.html").is_file()
        assert address == (f"../runs/{run}/report.html" if has_page else None)
    with duckdb.connect(str(own_study.layout.catalog), read_only=True) as catalog:
        samples = [of for (of,) in catalog.execute("SELECT sample_id FROM samples").fetchall()]
        eids = [of for (of,) in catalog.execute("SELECT eid FROM participants ORDER BY eid").fetchall()]
    assert not any(of in text for of in (*samples, *map(str, eids)))

    withdrawn = tmp_path / "withdrawn.txt"
    withdrawn.write_text(f"{eids[0]}\n")
    assert run_mm("--study", root, "withdraw", withdrawn, "--workers", 0).exit_code == 0
    left = {path.name for path in page.parent.rglob("*") if path.is_file()}
    assert left == set()


def test_somebody_who_withdraws_while_a_report_is_written_is_in_none_of_its_files(
    own_study: Study, run_mm: RunMm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do(own_study, begin(own_study, baselines=()))
    root, page = own_study.layout.root, tmp_path / "out" / "report.html"
    page.parent.mkdir()
    with duckdb.connect(str(own_study.layout.catalog), read_only=True) as catalog:
        (eid,) = catalog.execute("SELECT min(eid) FROM participants").fetchone() or (None,)
    withdrawn = tmp_path / "withdrawn.txt"
    withdrawn.write_text(f"{eid}\n")
    facts = files.read_study_facts

    def read_and_withdraw(*given: Any) -> StudyFacts:
        found = facts(*given)
        assert run_mm("--study", root, "withdraw", withdrawn, "--workers", 0).exit_code == 0
        return found

    monkeypatch.setattr(files, "read_study_facts", read_and_withdraw)
    result = run_mm("--study", root, "report", "--output", page, "--figures")
    assert result.exit_code == 1
    assert "have withdrawn from the study while this command was at work" in " ".join(result.stderr.split())
    assert not any(path.is_file() for path in page.parent.rglob("*"))
