"""A run's page names its faults, tells of nobody, and can be read anywhere."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from mmtrain.errors import TrainError
from mmtrain.page import page as page_module
from mmtrain.page import pictures
from mmtrain.page.page import write_page
from mmtrain.page.reading import find_state
from mmtrain.run import RunDirectory, hold_run
from tests.mmtrain.page.builder import SIZES, ages, build_run, classes, good_history, scores

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TITLES = {
    "good": "Nothing speaks against this result",
    "overfitted": "The model is overfitted",
    "swapped": "The labels are likely to be swapped",
    "single": "The model predicts a single class",
}
NAMES = ("loss", "metric", "speed", "test", "precision_recall", "calibration", "confusion")


def binary_run(path: Path, **settings: Any) -> RunDirectory:
    truth = {split: classes(SIZES[split], place) for place, split in enumerate(("val", "test"))}
    prediction = {split: scores(labels, 1.5, 7) for split, labels in truth.items()}
    return build_run(path, truth, prediction, good_history(), **settings)


def measured(run: RunDirectory) -> set[str]:
    """Return the names of what metrics.json has of validation or test."""
    content = json.loads(run.metrics.read_text())
    return {name for split in ("val", "test") for name, value in content[split].items() if value is not None}


def copy_of(run: RunDirectory, path: Path) -> RunDirectory:
    shutil.copytree(run.path, path)
    return RunDirectory(path)


@pytest.fixture
def blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave pictures blank where the claim is about words: to render them takes most of the time of a page."""
    blank = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><g/></svg>'
    monkeypatch.setattr(pictures, "to_svg", lambda _: blank)
    monkeypatch.setattr(pictures, "to_png", lambda _: b"")


@pytest.mark.parametrize("name", TITLES)
def test_each_fault_is_named_at_the_top_of_its_page_alone(runs: dict[str, RunDirectory], name: str) -> None:
    text = runs[name].report.read_text()
    first = text[text.index("Read this first") : text.index("<nav")]
    assert [other for other, title in TITLES.items() if title in first] == [name]


def test_a_page_loads_nothing_and_is_small(runs: dict[str, RunDirectory]) -> None:
    for run in runs.values():
        text = run.report.read_text()
        assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?\s*(https?:|//)""", text)
        assert "<script" not in text and 'http-equiv="refresh"' not in text
        assert len(text) < 1_000_000
        ids = re.findall(r'\bid="([^"]+)"', text)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)


def test_a_page_names_no_sample_and_no_single_value(runs: dict[str, RunDirectory]) -> None:
    for run in runs.values():
        cohort, predictions = pl.read_parquet(run.cohort), pl.read_parquet(run.predictions)
        texts = [run.report.read_text(), *(path.read_text() for path in run.plots.glob("*.svg"))]
        for text in texts:
            assert not set(cohort["sample_id"]) & set(re.findall(r"\b[0-9a-f]{16}\b", text))
            assert "0123456789abcdef" not in text
            shown = set(re.findall(r"\d+\.\d{5,}", text))
            assert not shown & {f"{value:.6f}" for value in predictions["prediction"]}


def test_the_internal_page_shows_points_counts_and_findings_and_says_that_it_must_stay(
    runs: dict[str, RunDirectory], tmp_path: Path
) -> None:
    run = copy_of(runs["good"], tmp_path / "good")
    write_page(run, "finished", internal=True)
    text = run.internal_report.read_text()
    assert "must not leave the platform" in text and "INTERNAL" in text.partition("</title>")[0]
    assert "samples 0123456789abcdef" in text and "must not leave" not in run.report.read_text()


def test_equal_directories_give_equal_pages_and_pictures(runs: dict[str, RunDirectory], tmp_path: Path) -> None:
    run = copy_of(runs["good"], tmp_path / "good")
    before = {path.name: path.read_bytes() for path in (run.report, *run.plots.iterdir())}
    assert {f"{name}.{form}" for name in NAMES for form in ("png", "svg")} | {"report.html"} == set(before)
    write_page(run, "finished")
    assert {path.name: path.read_bytes() for path in (run.report, *run.plots.iterdir())} == before


@pytest.mark.usefixtures("blank_pictures")
def test_a_page_loads_itself_again_only_while_the_run_is_training(tmp_path: Path) -> None:
    run = binary_run(tmp_path / "run", finished=False)
    write_page(run, "training")
    assert 'http-equiv="refresh" content="30"' in run.report.read_text() and not run.plots.exists()
    write_page(run, "stopped")
    text = run.report.read_text()
    assert "refresh" not in text and "mm train --resume run" in text


def test_how_far_a_run_has_come_is_told_by_its_lock_and_its_metrics(tmp_path: Path) -> None:
    run = binary_run(tmp_path / "run", finished=False)
    run.checkpoint.parent.mkdir()
    assert find_state(run) == "stopped"
    with hold_run(run):
        assert find_state(run) == "training"
    run.metrics.write_text("{}")
    assert find_state(run) == "finished"


@pytest.mark.usefixtures("blank_pictures")
@pytest.mark.parametrize(
    "damage",
    [
        ["cohort.parquet"],
        ["predictions.parquet"],
        ["model.json"],
        ["metrics.jsonl"],
        ["metrics.json"],
        ["config.json"],
        ["cohort.parquet", "predictions.parquet", "model.json", "metrics.jsonl"],
    ],
    ids="+".join,
)
@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "torn"])
def test_a_run_that_lacks_parts_gets_a_page_which_says_so(
    runs: dict[str, RunDirectory], tmp_path: Path, damage: list[str], is_gone: bool
) -> None:
    run = copy_of(runs["good"], tmp_path / "good")
    for name in damage:
        path = run.path / name
        path.unlink() if is_gone else path.write_bytes(b'{"torn')
    write_page(run, "finished")
    text = run.report.read_text()
    assert "Read this first" in text and "</html>" in text
    assert ("Parts of the run cannot be read" in text) != is_gone


def test_a_run_that_kept_no_intervals_gets_the_page_that_it_would_have_got(
    runs: dict[str, RunDirectory], tmp_path: Path
) -> None:
    run = copy_of(runs["good"], tmp_path / "good")
    expected = run.report.read_text()
    content = json.loads(run.metrics.read_text())
    for name in ("intervals", "decision", "subgroups"):
        del content[name]
    run.metrics.write_text(json.dumps(content))
    pl.read_parquet(run.cohort).drop("participant").write_parquet(run.cohort)  # all are different people in this one
    write_page(run, "finished")
    assert run.report.read_text() == expected
    assert re.search(r">AUC</th>.*?0\.\d{3} \(0\.\d{3}\sto\s0\.\d{3}\)", expected)


@pytest.mark.usefixtures("blank_pictures")
def test_a_regression_shows_density_and_fit(tmp_path: Path) -> None:
    truth = {split: ages(SIZES[split], 3) for split in ("val", "test")}
    prediction = {split: labels + np.random.default_rng(1).normal(0, 4, len(labels)) for split, labels in truth.items()}
    run = build_run(tmp_path / "run", truth, prediction, good_history(), target="age")
    write_page(run, "finished")
    text = run.report.read_text()
    slope = np.polyfit(truth["test"], prediction["test"], 1)[0]
    assert f"the fitted line has slope {slope:.2f}" in text and "cells of fewer than ten are left blank" in text
    assert "MAE (years)" in text


@pytest.mark.usefixtures("blank_pictures")
def test_thirty_people_are_shown_as_means_alone_and_nine_not_at_all(tmp_path: Path) -> None:
    for n in (30, 9):
        sizes = {"train": 60, "val": n, "test": n}
        truth = {split: ages(n, 3) for split in ("val", "test")}
        run = build_run(tmp_path / str(n), truth, truth, good_history(), target="age", sizes=sizes)
        write_page(run, "finished")
        text = run.report.read_text()
        assert "No density is shown" in text if n == 30 else "Not shown: fewer than ten participants" in text
        if n == 9:
            assert re.search(r'test</th><td class="number">&lt;10</td>', text)
            assert text.count("not shown</td>") == 2 * len(measured(run))


@pytest.mark.usefixtures("blank_pictures")
def test_balanced_training_is_told_beside_the_calibration_of_a_rare_class(tmp_path: Path) -> None:
    truth = {split: classes(SIZES[split], 1, 0.2) for split in ("val", "test")}
    prediction = {split: scores(labels, 1.5, 7, 1.4) for split, labels in truth.items()}
    for balance in ("undersample", "none"):
        run = build_run(tmp_path / balance, truth, prediction, good_history(), balance=balance)
        write_page(run, "finished")
        text = run.report.read_text()
        assert ("Training showed both classes as equally frequent" in text) == (balance == "undersample")


@pytest.mark.usefixtures("blank_pictures")
def test_groups_that_would_tell_of_a_small_one_are_left_out(tmp_path: Path) -> None:
    def group(by: str, name: str, n: int, prevalence: float = 0.5) -> dict[str, Any]:
        return {"by": by, "group": name, "n": n, "metrics": {"auc": 0.8, "prevalence": prevalence}, "intervals": {}}

    groups = [
        *(group("centre", "first", 200), group("centre", "second", 195)),  # five are elsewhere: with one more, ten
        *(group("sex", "female", 210), group("sex", "male", 190)),
        *(group("age", "45 to 54", 150, 0.02), group("age", "55 to 64", 250)),  # three of class 1
    ]
    run = binary_run(tmp_path / "run", extra={"subgroups": groups})
    write_page(run, "finished")
    shown = re.findall(r'<tr><td>(\w+)</td><th scope="row">([^<]+)</th>', run.report.read_text())
    assert shown == [("centre", "first"), ("sex", "female"), ("sex", "male"), ("age", "55 to 64")]


@pytest.mark.usefixtures("blank_pictures")
def test_explained_variance_is_not_told_of_bands_of_the_target_itself(tmp_path: Path) -> None:
    truth = {split: ages(SIZES[split], 3) for split in ("val", "test")}
    told = {"metrics": {"mae": 4.125, "r2": -17.875}, "intervals": {}}
    groups = [{"by": "age", "group": "45-54", "n": 200, **told}, {"by": "sex", "group": "male", "n": 200, **told}]
    run = build_run(tmp_path / "run", truth, truth, good_history(), target="age", extra={"subgroups": groups})
    write_page(run, "finished")
    rows = re.findall(r"<tr><td>(\w+)</td><th[^>]*>[^<]*</th>(.*?)</tr>", run.report.read_text())
    assert {by: "−17.8" in row for by, row in rows} == {"age": False, "sex": True}


@pytest.mark.usefixtures("blank_pictures")
def test_metrics_that_would_tell_a_small_count_are_ranges(tmp_path: Path) -> None:
    truth = {split: classes(SIZES[split], 1, 0.2) for split in ("val", "test")}
    prediction = {split: np.where(labels == 1, 0.3, 0.1) for split, labels in truth.items()}
    for split, labels in truth.items():
        prediction[split][np.flatnonzero(labels == 1)[:4]] = 0.9
    run = build_run(tmp_path / "run", truth, prediction, good_history())
    write_page(run, "finished")
    text = run.report.read_text()
    (row,) = re.findall(r"recall of class 1</th>(.*?)</tr>", text)
    assert row.count(" to ") == 2 and row.count("*") == 2
    assert "&lt;10" in text and re.search(r"&gt;\d+", text)


@pytest.mark.usefixtures("blank_pictures")
def test_a_class_of_a_few_is_told_neither_by_metrics_nor_by_rules(tmp_path: Path) -> None:
    truth = {split: np.arange(SIZES[split]) < 7 for split in ("val", "test")}
    labels = {split: values.astype(float) for split, values in truth.items()}
    run = build_run(tmp_path / "run", labels, {s: scores(labels[s], 1.5, 7) for s in labels}, good_history())
    write_page(run, "finished")
    text = run.report.read_text()
    assert "A class has fewer than ten test participants" in text and "AUC 0." not in text
    assert text.count("not shown</td>") == 2 * len(measured(run)) + 4  # and both classes of both splits


@pytest.mark.usefixtures("blank_pictures")
def test_classes_are_counted_unless_a_small_one_could_be_worked_out(tmp_path: Path) -> None:
    truth = {"val": classes(SIZES["val"], 1), "test": (np.arange(SIZES["test"]) < 7).astype(float)}
    run = build_run(tmp_path / "run", truth, {s: scores(truth[s], 1.5, 7) for s in truth}, good_history())
    for internal in (False, True):
        write_page(run, "finished", internal=internal)
    text, exact = run.report.read_text(), run.internal_report.read_text()
    ones = int(truth["val"].sum())
    numbers = '300</td><td class="number">300</td>'
    assert f'{numbers}<td class="number">{300 - ones}</td><td class="number">{ones}</td>' in text
    assert '400</td><td class="number">not shown</td><td class="number">not shown</td>' in text
    assert '<td class="number">393</td><td class="number">7</td>' in exact and ">393<" not in text


@pytest.mark.usefixtures("blank_pictures")
def test_after_a_withdrawal_everything_is_of_those_who_are_left(runs: dict[str, RunDirectory], tmp_path: Path) -> None:
    run = copy_of(runs["good"], tmp_path / "good")
    cohort, predictions = pl.read_parquet(run.cohort), pl.read_parquet(run.predictions)
    gone = predictions.filter(split="test").head(50)["sample_id"].to_list()
    cohort.filter(~pl.col("sample_id").is_in(gone)).write_parquet(run.cohort)
    predictions.filter(~pl.col("sample_id").is_in(gone)).write_parquet(run.predictions)
    run.withdrawn.write_text(json.dumps({"cohort": SIZES, "withdrawn": {"train": 0, "val": 0, "test": 50}}))
    write_page(run, "finished")
    text = run.report.read_text()
    assert "Participants have withdrawn since" in text
    assert 'test</th><td class="number">350</td>' in text
    left = pl.read_parquet(run.predictions).filter(split="test")
    assert f">{roc_auc_score(left['truth'], left['prediction']):.3f} (" in text
    stored = json.loads(run.metrics.read_text())
    assert f"{stored['test']['auc']:.3f} (" not in text and "Validation AUC" not in text


@pytest.mark.usefixtures("blank_pictures")
def test_a_page_of_somebody_who_withdraws_meanwhile_does_not_stay(
    runs: dict[str, RunDirectory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copy_of(runs["good"], tmp_path / "good")
    render = page_module.render_page

    def withdraw_meanwhile(*args: Any, **options: Any) -> bytes:
        run.withdrawn.write_text(json.dumps({"withdrawn": {"test": 1}}))
        return render(*args, **options)

    monkeypatch.setattr(page_module, "render_page", withdraw_meanwhile)
    with pytest.raises(TrainError, match="withdrawn meanwhile"):
        write_page(run, "finished")
    assert not run.report.exists() and not any(run.plots.iterdir())


@pytest.mark.usefixtures("blank_pictures")
def test_settings_unlike_the_default_come_first(tmp_path: Path) -> None:
    run = binary_run(tmp_path / "run", learning_rate=3e-3, stores="/data/of/somebody")
    write_page(run, "finished")
    text = run.report.read_text()
    differing, equal = text[text.index("Unlike the default") :].split("<details>")
    assert re.search(r"learning_rate</code></th><td>0\.003</td><td>0\.0001</td>", differing)
    assert "<code>batch_size</code>" in equal and "<code>batch_size</code>" not in differing
    assert "/data/of/somebody" not in text


def test_the_network_is_drawn_with_its_sizes(runs: dict[str, RunDirectory]) -> None:
    text = runs["good"].report.read_text()
    label = re.search(r'class="network".*?aria-label="([^"]+)"', text)
    assert label and "T1 (32³ voxels) through imaging CNN" in label[1]
    assert "connectivity (64,620 edges) through connectivity MLP" in label[1] and "sex: 2 outputs" in label[1]
    numbers = [int(number.replace(",", "")) for number in re.findall(r"with ([\d,]+) parameters", label[1])]
    (total,) = re.findall(r"fusion, ([\d,]+) trained parameters", text)
    assert sum(numbers) == int(total.replace(",", "")) > 8_000_000


def test_pictures_are_described_and_tables_have_scopes(runs: dict[str, RunDirectory]) -> None:
    text = runs["good"].report.read_text()
    shown = re.findall(r'<figure class="picture">.*?</figure>', text, re.DOTALL)
    assert len(shown) == 6
    assert all(re.search(r'role="img" aria-label="[^"]{40,}"', picture) for picture in shown)
    assert all("scope=" in cell for cell in re.findall(r"<th\b[^>]*>", text))
    assert text.count("<h1") == 1 and all(f"<{mark}" in text for mark in ("header", "main", "nav", "footer"))


def shown_width(run: RunDirectory, folder: Path, width: int) -> tuple[int, int]:
    """Return how wide a browser lays a page out, and its window."""
    assert CHROMIUM
    text = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", run.report.read_text())
    script = "document.body.dataset.width = document.documentElement.scrollWidth + ' ' + window.innerWidth"
    (folder / "page.html").write_text(text.replace("</body>", f"<script>{script}</script></body>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += [f"--window-size={width},900", "--dump-dom", (folder / "page.html").as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'data-width="(\d+) (\d+)"', result.stdout)
    assert found, result.stderr
    return int(found[1]), int(found[2])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_the_whole_page_without_scrolling_sideways(
    runs: dict[str, RunDirectory], tmp_path: Path, width: int
) -> None:
    laid_out, window = shown_width(runs["single"], tmp_path, width)
    assert laid_out <= window <= max(width, 500)
