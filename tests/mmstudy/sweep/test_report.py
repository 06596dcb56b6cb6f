"""The report of a real sweep, from its runs to the page and its figures."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import url2pathname, urlopen

import duckdb
import pytest

from mmdata.errors import StudyError
from mmdata.study import Study
from mmstudy.comparison.published_table import published_csv_of_scores
from mmstudy.dictionary import study_dictionary
from mmstudy.report import files, live
from mmstudy.report.facts import DataFacts, StudyFacts
from mmstudy.report.live import LiveReport
from mmstudy.report.other_table import read_other_table
from mmstudy.report.serving import LivePage
from mmstudy.settings import load_study
from mmstudy.sweep.cells import Cell
from mmstudy.sweep.directory import find_sweep
from tests.conftest import RunMm
from tests.mmcli.outcome import complaint
from tests.mmstudy.comparison.made_up import score_row, table
from tests.mmstudy.report.page.test_page import embedded
from tests.mmstudy.sweep.made_sweep import begin, do

MM = Path(sys.executable).with_name("mm")


@pytest.fixture(scope="module")
def finished(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tests' study with a finished sweep. Tests must not change it."""
    root = Path(shutil.copytree(study, tmp_path_factory.mktemp("finished") / "study"))
    own = load_study(root)
    do(own, begin(own))
    return root


@pytest.fixture
def reported(finished: Path, tmp_path: Path) -> Study:
    """A study of its own with a finished sweep."""
    return load_study(Path(shutil.copytree(finished, tmp_path / "study")))


@pytest.fixture
def page(reported: Study) -> Path:
    """Where a report is to lie in the study, in a folder that is there."""
    page = reported.layout.root / "report" / "report.html"
    page.parent.mkdir()
    return page


@pytest.fixture
def withdraw_one(reported: Study, run_mm: RunMm, tmp_path: Path) -> Callable[[], None]:
    """Let one participant withdraw."""
    withdrawn = tmp_path / "withdrawn.txt"
    withdrawn.write_text(f"{eids_of(reported)[0]}\n")

    def withdraw() -> None:
        assert run_mm("--study", reported.layout.root, "withdraw", withdrawn, "--workers", 0).exit_code == 0

    return withdraw


def eids_of(study: Study) -> list[int]:
    with duckdb.connect(str(study.layout.catalog), read_only=True) as catalog:
        return [eid for (eid,) in catalog.execute("SELECT eid FROM participants ORDER BY eid").fetchall()]


def write_other_table(folder: Path) -> Path:
    """Write scores of age, as of another study, from one of the two sets of the sweep and from another set."""
    cells = [Cell(target="age", inputs=inputs) for inputs in (("flair",), ("flair", "t1"))]
    path = folder / "other.csv"
    path.write_text(published_csv_of_scores(table([score_row(cell, 0.5) for cell in cells])))
    return path


def test_a_report_links_to_the_page_of_the_one_run_that_has_one(reported: Study, page: Path, run_mm: RunMm) -> None:
    root = reported.layout.root
    with_page, *without = sorted(metrics.parent.name for metrics in reported.layout.runs.glob("*/metrics.json"))
    (reported.layout.runs / with_page / "report.html").touch()
    result = run_mm("--study", root, "report", "--output", page)
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    runs = embedded(text)["runs"]
    assert dict(zip(runs["name"], runs["page"], strict=True)) == {
        with_page: f"../runs/{with_page}/report.html",
        **dict.fromkeys(without),
    }
    assert len(without) == 3 and str(root) not in text


def test_another_table_is_beside_a_written_and_a_live_report_if_it_has_a_target_of_theirs(
    reported: Study, page: Path, run_mm: RunMm, tmp_path: Path
) -> None:
    root, other = reported.layout.root, write_other_table(tmp_path)
    result = run_mm("--study", root, "report", "--beside", other, "--output", page, "--json")
    assert result.exit_code == 0, result.output
    assert "1 cell of 1 target." in json.loads(result.stdout)["beside"][0]

    beside = read_other_table(other, study_dictionary(reported), ["age"])
    with closing(
        LiveReport(reported, find_sweep(reported.layout, None), "Live", lambda message: None, beside)
    ) as report:
        assert embedded(report.make())["beside"] == embedded(page.read_text(encoding="utf-8"))["beside"]
    strange = tmp_path / "strange.csv"
    strange.write_text(other.read_text().replace("Age", "Height"))
    refused = run_mm("--study", root, "report", "--beside", strange, "--serve")
    assert "no target of this report" in complaint(refused, exit_code=2)


def test_page_and_figures_are_overwritten_beside_no_file_of_others_and_go_with_a_withdrawal(
    reported: Study, page: Path, run_mm: RunMm, tmp_path: Path, withdraw_one: Callable[[], None]
) -> None:
    root, other = reported.layout.root, write_other_table(tmp_path)
    words = ("--study", root, "report", "--beside", other, "--output", page, "--figures", "--json")
    result = run_mm(*words)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["models"], told["targets"]) == (4, 1)
    assert {path.name for path in (page.parent / "figures").iterdir()} == set(told["figures"])
    assert {"distributions.png", "beside-separate-fusion.csv"} <= set(told["figures"])

    other_picture = page.parent / "figures" / "mine.png"
    other_picture.touch()
    before = page.read_bytes()
    refused = run_mm(*words, "--overwrite", "--title", "another")
    assert refused.exit_code == 1 and "holds mine.png, which this report does not write" in refused.stderr
    assert page.read_bytes() == before and other_picture.exists()
    other_picture.rename(page.parent / "mine.png")
    assert run_mm(*words, "--overwrite").exit_code == 0
    assert {path.name for path in (page.parent / "figures").iterdir()} == set(told["figures"])

    text = page.read_text(encoding="utf-8")
    with duckdb.connect(str(reported.layout.catalog), read_only=True) as catalog:
        samples = [of for (of,) in catalog.execute("SELECT sample_id FROM samples").fetchall()]
    assert not any(of in text for of in (*samples, *map(str, eids_of(reported))))

    withdraw_one()
    assert {path.name for path in page.parent.rglob("*") if path.is_file()} == {"mine.png"}


def test_somebody_who_withdraws_while_a_report_is_written_is_in_none_of_its_files(
    reported: Study,
    run_mm: RunMm,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    withdraw_one: Callable[[], None],
) -> None:
    page = tmp_path / "out" / "report.html"
    page.parent.mkdir()
    facts = files.read_study_facts

    def read_and_withdraw(*given: Any) -> StudyFacts:
        found = facts(*given)
        withdraw_one()
        return found

    monkeypatch.setattr(files, "read_study_facts", read_and_withdraw)
    result = run_mm("--study", reported.layout.root, "report", "--output", page, "--figures")
    assert result.exit_code == 1
    assert "have withdrawn from the study while this command was at work" in " ".join(result.stderr.split())
    assert not any(path.is_file() for path in page.parent.rglob("*"))


def next_page(page: LivePage, before: str) -> dict[str, Any]:
    """Return what a page that is asked for again and again shows once it has its data."""
    while "data" not in embedded(text := page.text()) or text == before:
        time.sleep(0.01)
    return embedded(text)


def test_a_live_report_has_its_data_later_and_after_a_withdrawal_without_them(
    reported: Study, monkeypatch: pytest.MonkeyPatch, withdraw_one: Callable[[], None]
) -> None:
    read: list[DataFacts] = []

    def read_data(*given: Any) -> DataFacts:
        read.append(files.read_data_facts(*given))
        return read[-1]

    monkeypatch.setattr(live, "read_data_facts", read_data)
    with closing(LiveReport(reported, find_sweep(reported.layout, None), "Live", lambda message: None)) as report:
        page = LivePage(mark=report.mark, make=report.make)
        first = page.text()
        assert not {"data", "calibration"} & embedded(first).keys()
        assert "are being made" in embedded(first)["about"]["notes"][0]
        whole = next_page(page, first)
        assert {"data", "calibration"} <= whole.keys() and "The data tab is as of" in whole["about"]["notes"][0]
        withdraw_one()
        without = page.text()
        assert "data" not in embedded(without)
        while len(read) < 2:  # the second reading has ended before anybody asks again
            time.sleep(0.01)
        next_page(page, without)
    before, after = (sum(size.participants for size in of.splits.values()) for of in read)
    assert after == before - 1


def test_a_live_report_whose_data_cannot_be_read_has_scores_names_no_folder_and_tries_again(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, told, fails = load_study(finished), list[str](), [True]

    def read_data(*given: Any) -> DataFacts:
        if fails.pop() if fails else False:
            raise OSError(5, "Input/output error", str(finished))
        return files.read_data_facts(*given)

    monkeypatch.setattr(live, "read_data_facts", read_data)
    with closing(LiveReport(study, find_sweep(study.layout, None), "Live", told.append)) as report:
        page = LivePage(mark=report.mark, make=report.make)
        while not told:
            text = page.text()
        assert "cannot be made now" in embedded(text)["about"]["notes"][0] and str(finished) not in text
        assert str(finished) in told[0]
        next_page(page, text)


def test_a_live_report_that_a_withdrawal_overtakes_is_refused_and_made_anew(
    reported: Study, monkeypatch: pytest.MonkeyPatch, withdraw_one: Callable[[], None]
) -> None:
    compare = live.compare_sweep

    def compare_and_withdraw(*given: Any) -> Any:
        found = compare(*given)
        withdraw_one()
        return found

    with closing(LiveReport(reported, find_sweep(reported.layout, None), "Live", lambda message: None)) as report:
        with monkeypatch.context() as patch:
            patch.setattr(live, "compare_sweep", compare_and_withdraw)
            with pytest.raises(StudyError, match="have withdrawn from the study"):
                report.make()
        assert "<title>Live</title>" in report.make()


@pytest.fixture
def browser(tmp_path: Path) -> Path:
    """A program that keeps the address that it is started with, and what lies there, in files beside it."""
    program = tmp_path / "browser"
    program.write_text(
        '#!/bin/sh\nprintf %s "$1" > "$0.words"\ncp -p "${1#file://}" "$0.file"\nmv "$0.words" "$0.opened"\n'
    )
    program.chmod(0o700)
    return program


@pytest.fixture
def serving(finished: Path, browser: Path) -> Iterator[subprocess.Popen[str]]:
    """`mm report --serve --open` as a user starts it."""
    words = [str(MM), "--study", str(finished), "report", "--serve", "--open", "--json"]
    environment = {**os.environ, "BROWSER": f"{browser} %s", "DISPLAY": ":0"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, env=environment, start_new_session=True, **pipes) as process:
        yield process
        process.kill()


def press_ctrl_c(process: subprocess.Popen[str]) -> str:
    """Interrupt a command as a terminal does, again where nothing follows, and return what it said until its end.

    Python drops an interrupt that comes while it runs a callback, e.g. of a weak reference.
    """
    for _ in range(4):
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=90)[1]
    pytest.fail("it goes on")


def test_a_page_is_served_to_whoever_has_its_token_until_ctrl_c(serving: subprocess.Popen[str], browser: Path) -> None:
    assert serving.stdout is not None and serving.stderr is not None
    printed = [serving.stdout.readline() for _ in range(3)]  # the pipe stays open: what comes is complete
    assert serving.poll() is None, serving.stderr.read()
    address = json.loads("".join(printed))["address"]
    with urlopen(address) as answer:
        assert embedded(answer.read().decode())["about"]["counts"]["models"] == 4
    token = address.split("/")[-2]
    with pytest.raises(HTTPError, match="404"):
        urlopen(address.replace(token, "guess"))

    while not browser.with_suffix(".opened").exists():
        assert serving.poll() is None, serving.stderr.read()
        time.sleep(0.02)
    opened = browser.with_suffix(".opened").read_text()
    leading = Path(url2pathname(urlsplit(opened).path))
    assert token not in opened and opened.startswith("file://") and leading.exists()
    kept = browser.with_suffix(".file")
    assert address in kept.read_text() and kept.stat().st_mode & 0o777 == 0o600

    messages = press_ctrl_c(serving)
    assert serving.returncode == 0 and messages.splitlines()[-1] == "The page is no longer served."
    assert not leading.exists() and "Traceback" not in messages and token not in messages
