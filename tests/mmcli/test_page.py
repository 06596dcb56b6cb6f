"""`mm page`, and what `mm train` does for it."""

import json
import webbrowser
from pathlib import Path

import pytest

from tests.conftest import RunMm
from tests.mmcli.outcome import complaint
from tests.mmtrain.page.builder import SIZES, build_run, classes, good_history, scores

RUN = "sex_t1_20260101-000000"


@pytest.fixture
def study_of_run(make_study: object, tmp_path: Path) -> Path:
    """A study without samples that has a run."""
    root = make_study(tmp_path / "study")  # type: ignore[operator]
    truth = {split: classes(SIZES[split], place) for place, split in enumerate(("val", "test"))}
    build_run(root / "runs" / RUN, truth, {s: scores(truth[s], 1.5, 7) for s in truth}, good_history())
    return Path(root)


def test_a_page_is_written_and_named(run_mm: RunMm, study_of_run: Path) -> None:
    result = run_mm("--study", study_of_run, "page", RUN, "--json")
    page = study_of_run / "runs" / RUN / "report.html"
    assert json.loads(result.stdout) == {"run_id": RUN, "page": str(page), "internal": False}
    assert page.stat().st_mode & 0o077 == 0 and not page.with_name("report-internal.html").exists()


def test_the_internal_page_lies_beside_it(run_mm: RunMm, study_of_run: Path) -> None:
    result = run_mm("--study", study_of_run, "page", RUN, "--internal")
    page = study_of_run / "runs" / RUN / "report-internal.html"
    assert "must not leave the platform" in result.stdout and str(page) in result.stdout.replace("\n", "")
    assert page.exists() and not page.with_name("report.html").exists()


def test_a_run_that_is_not_there_is_told_with_those_that_are(run_mm: RunMm, study_of_run: Path) -> None:
    assert f"There is no run 'x'. Known runs: {RUN}" in complaint(run_mm("--study", study_of_run, "page", "x"))


def test_the_page_is_opened_only_where_there_is_a_window(
    run_mm: RunMm, study_of_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: not opened.append(address))
    monkeypatch.setenv("DISPLAY", ":0")
    run_mm("--study", study_of_run, "page", RUN, "--open")
    assert opened == [(study_of_run / "runs" / RUN / "report.html").resolve().as_uri()]
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    result = run_mm("--study", study_of_run, "page", RUN, "--open")
    assert len(opened) == 1 and "There is no browser to open here" in result.stderr
