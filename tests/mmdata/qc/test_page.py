import base64
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray

from catalog.database import open_catalog
from mmbase.names import CONNECTIVITY
from mmbase.records import MEASURES
from mmdata.errors import StoreError
from mmdata.qc.page import QcSummary, write_page
from mmdata.study import load_study
from mmdata.viewer.viewer import LIBRARY, read_part

VOID_TAGS = {"meta", "img", "br", "hr", "link", "input"}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MakeCohort = Callable[..., Any]
JSON_SCRIPT = {"type": "application/json", "id": "volumes"}


class Page(HTMLParser):
    """What a reader of the page's markup sees."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        whole = path.read_text(encoding="utf-8")
        self.text = re.sub(r"(<script[^>]*>).*?</script>", r"\1</script>", whole, flags=re.DOTALL)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"attribute given twice in {tag}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def prose(self) -> str:
        return " ".join(" ".join(self.words).split())

    def attributes(self, tag: str, name: str) -> list[str]:
        return [attrs[name] or "" for found, attrs in self.tags if found == tag and name in attrs]

    def unusual(self, modality: str) -> list[str]:
        """Sample ids of one modality's contact sheet, in its order."""
        return re.findall(rf"of the {modality} scan of sample (\w+)\.", self.text)


def blank_stripe(volume: NDArray[np.float64]) -> NDArray[np.float64]:
    volume[:, :, 6:9] = 0
    return volume


def shift(volume: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.roll(volume, 3, axis=1)


def wrong_contrast(volume: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(volume > 0, 1 - volume, 0)


SPOILT = {5: blank_stripe, 17: shift, 30: wrong_contrast}


def write(cohort: Any, path: Path, scans: pl.DataFrame | None = None, **options: Any) -> tuple[Page, QcSummary]:
    options.setdefault("on_progress", lambda done, total: None)
    summary = write_page(path, cohort.scans if scans is None else scans, cohort.study, **options)
    return Page(path), summary


def reject(scans: pl.DataFrame, rows: range, reason: str, detail: str) -> pl.DataFrame:
    is_rejected = pl.col("row").is_in(list(rows)) & (pl.col("modality") == "t1")
    changes = {"status": "rejected", "reason": reason, "detail": detail}
    return scans.with_columns(
        pl.when(is_rejected).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name, value in changes.items()
    )


@pytest.fixture(scope="session")
def study_scans(study: Path) -> pl.DataFrame:
    """The scans of the ingested release, from its catalogue."""
    with open_catalog(study / "catalog.duckdb") as catalog:
        result = catalog.execute("SELECT * FROM scans JOIN samples USING (sample_id)")
        names = [column[0] for column in result.description or []]
        rows = result.fetchall()
    records = [dict(zip(names, row, strict=True)) for row in rows]
    columns = ("sample_id", "row", "modality", "status", "reason", "detail", *MEASURES)
    measures = dict.fromkeys(MEASURES, pl.Float64)
    return pl.DataFrame([{name: record.get(name) for name in columns} for record in records], schema_overrides=measures)


@pytest.fixture(scope="session")
def release_page(
    study: Path, study_scans: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Page, QcSummary]:
    """The page of the ingested release."""
    path = tmp_path_factory.mktemp("page") / "qc.html"
    summary = write_page(path, study_scans, load_study(study), on_progress=lambda done, total: None)
    assert summary.page_bytes == path.stat().st_size
    return Page(path), summary


def test_planted_faults_come_first(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cohort = make_cohort(40, SPOILT)
    page, summary = write(cohort, tmp_path / "qc.html")
    assert {int(sample[:4]) for sample in page.unusual("t1")[:3]} == set(SPOILT)
    assert summary.unusual["t1"] >= 3
    assert "unlike the cohort mean" in page.prose
    assert summary.unusual[CONNECTIVITY] < 3


def test_planted_faults_come_first_also_where_the_mean_is_over_few(make_cohort: MakeCohort, tmp_path: Path) -> None:
    page, _ = write(make_cohort(40, SPOILT), tmp_path / "qc.html", max_volumes=10)
    assert {int(sample[:4]) for sample in page.unusual("t1")[:3]} == set(SPOILT)
    assert "Over 10 scans, taken evenly over all" in page.prose


def test_the_page_of_a_release_is_whole_and_loads_nothing(release_page: tuple[Page, QcSummary]) -> None:
    page, _ = release_page
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {"t1", "flair", "dwi", CONNECTIVITY, "rejected"} <= set(ids)
    assert {"t1", "look", "rejected"} < {link.removeprefix("#") for link in page.attributes("a", "href")} < set(ids)
    assert not {"link", "iframe", "object", "svg"} & {tag for tag, _ in page.tags}
    assert [attrs for tag, attrs in page.tags if tag == "script"] == [JSON_SCRIPT, {}, {}]
    assert not re.search(r"https?://|url\(|@import", page.text)
    assert all(source.startswith("data:image/png;base64,") for source in page.attributes("img", "src"))


def test_all_pictures_of_a_release_decode_and_say_what_they_show(release_page: tuple[Page, QcSummary]) -> None:
    page, _ = release_page
    sources = page.attributes("img", "src")
    assert len(sources) == len(page.attributes("img", "alt")) > 60
    for source in sources:
        picture = imread(io.BytesIO(base64.b64decode(source.partition(",")[2], validate=True)))
        assert picture[..., :3].std() > 0.01
    assert all(len(alt) > 20 for alt in page.attributes("img", "alt"))
    assert len(set(page.attributes("img", "alt"))) == len(sources)


def test_no_participant_and_no_path_is_on_the_page(
    study: Path, release: Path, study_scans: pl.DataFrame, release_page: tuple[Page, QcSummary]
) -> None:
    text = re.sub(r"base64,[^\"]+", "", release_page[0].text)
    eids = {eid for path in release.rglob("*.zip") for eid in re.findall(r"\d{7}", path.name)}
    assert len(eids) > 20
    assert not [eid for eid in eids if eid in text]
    assert str(study.parent) not in text
    assert str(release.parent) not in text
    assert study_scans.filter(status="rejected")["sample_id"][0] in text


def test_what_the_page_counts_is_what_the_catalogue_counts(
    status: dict[str, Any], release_page: tuple[Page, QcSummary]
) -> None:
    page, summary = release_page
    assert summary.samples == status["samples"]
    assert summary.stored == {modality: counts["stored"] for modality, counts in status["scans"].items()}
    t1 = status["scans"]["t1"]
    assert f"T1 {t1['stored']} {t1['rejected']} {t1['absent']}" in page.prose


def test_equal_studies_give_equal_bytes_in_whatever_order_scans_come(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cohort = make_cohort(20, SPOILT)
    scans = reject(cohort.scans, range(12, 16), "truncated", "ends early")
    write(cohort, tmp_path / "a.html", scans, max_unusual=4)
    write(cohort, tmp_path / "b.html", scans.sample(fraction=1.0, shuffle=True, seed=4), max_unusual=4)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_page_hardly_grows_with_the_cohort(make_cohort: MakeCohort, tmp_path: Path) -> None:
    small, large = make_cohort(40, name="small"), make_cohort(300, name="large")
    _, at_40 = write(small, tmp_path / "small.html", max_unusual=8)
    scans = reject(large.scans, range(150, 300), "truncated", "ends early")
    _, at_300 = write(large, tmp_path / "large.html", scans, max_unusual=8)
    assert at_300.page_bytes < 1.2 * at_40.page_bytes
    assert at_300.page_bytes < 2e6 + len(read_part(LIBRARY))
    _, with_fewer = write(small, tmp_path / "fewer.html", max_unusual=2)
    assert len(Page(tmp_path / "fewer.html").unusual("t1")) == 2
    assert with_fewer.page_bytes < at_40.page_bytes


@pytest.mark.parametrize(("max_volumes", "num_averaged"), [(1000, 16), (6, 4)])
def test_damaged_scans_are_passed_over_counted_and_named_as_such(
    make_cohort: MakeCohort, tmp_path: Path, max_volumes: int, num_averaged: int
) -> None:
    cohort = make_cohort(24)
    shard = cohort.array_path("t1") / "c" / "1" / "0" / "0" / "0"
    shard.write_bytes(b"\0" * shard.stat().st_size)
    page, summary = write(cohort, tmp_path / "qc.html", max_volumes=max_volumes)
    assert summary.unreadable == {"t1": 8, CONNECTIVITY: 0}
    assert "8 of them could not be read: run mm verify" in page.prose
    assert f"Over {num_averaged} scans" in page.prose
    assert page.prose.count("could not be read") > 1, "on their cards"


def test_a_modality_of_which_nothing_can_be_read_says_so(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cohort = make_cohort(8)
    shutil.rmtree(cohort.array_path("t1") / "c")
    page, summary = write(cohort, tmp_path / "qc.html")
    assert summary.unreadable["t1"] == 8
    assert "None of the scans could be read" in page.prose


def test_stored_scans_without_their_array_are_an_error_that_says_what_to_do(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cohort = make_cohort(8)
    shutil.rmtree(cohort.array_path("t1"))
    with pytest.raises(StoreError, match="mm ingest"):
        write(cohort, tmp_path / "qc.html")


@pytest.mark.parametrize("num_samples", [1, 7])
def test_too_few_scans_are_averaged_and_not_ranked(make_cohort: MakeCohort, tmp_path: Path, num_samples: int) -> None:
    page, summary = write(make_cohort(num_samples), tmp_path / "qc.html")
    assert "Too few scans to say which are unusual: it takes 8." in page.prose
    assert summary.unusual == {"t1": 0, CONNECTIVITY: 0}
    assert page.unusual("t1") == []
    assert "Mean" in page.prose


def test_a_modality_without_stored_scans_is_counted_and_has_no_section(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cohort = make_cohort(10)
    page, summary = write(cohort, tmp_path / "qc.html", reject(cohort.scans, range(10), "corrupt", ""))
    assert summary.stored == {"t1": 0, CONNECTIVITY: 10}
    assert page.unusual("t1") == []
    assert "T1 0 10 0" in page.prose


def test_a_study_before_its_first_scan_has_a_page(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cohort = make_cohort(1)
    page, summary = write(cohort, tmp_path / "qc.html", cohort.scans.clear())
    assert (summary.samples, summary.stored) == (0, {})
    assert "0 samples" in page.prose


def test_rejected_scans_are_explained_and_listed_up_to_a_limit(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cohort = make_cohort(60)
    scans = reject(cohort.scans, range(20, 60), "truncated", "expected 1,000 bytes <of> voxels, got 900")
    scans = reject(scans, range(3), "unusable", "")
    page, _ = write(cohort, tmp_path / "qc.html", scans, max_listed=15)
    assert "The file ends too early." in page.prose
    assert "expected 1,000 bytes <of> voxels, got 900" in page.prose
    assert page.prose.index("truncated") < page.prose.index("unusable"), "the more frequent first"
    listed = re.findall(r"<li><code>(\w+)</code>", page.text)
    assert [int(sample[:4]) for sample in listed] == [*range(20, 35), *range(3)]
    assert "and 25 more:" in page.prose
    assert "modality = 't1' AND reason = 'truncated'" in page.prose


def changed(scans: pl.DataFrame, rows: range, **values: object) -> pl.DataFrame:
    is_changed = pl.col("row").is_in(list(rows)) & (pl.col("modality") == "t1")
    return scans.with_columns(
        pl.when(is_changed).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name, value in values.items()
    )


def test_scans_from_another_copy_are_counted_with_the_reason(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cohort = make_cohort(12)
    plain, _ = write(cohort, tmp_path / "plain.html")
    assert "another copy" not in plain.prose
    detail = "copy 2 of 2; passed over: bad-archive: the zip archive is damaged (BadZipFile)"
    page, _ = write(cohort, tmp_path / "qc.html", changed(cohort.scans, range(3), detail=detail))
    assert "3 stored from another copy" in page.prose and "copy 2 of 2; passed over: bad-archive" in page.prose


def test_scans_that_look_like_something_else_are_named(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cohort = make_cohort(12)
    scans = changed(changed(cohort.scans, range(12), flat_share=0.01, white_over_grey=1.3), range(4, 6), flat_share=0.9)
    page, _ = write(cohort, tmp_path / "qc.html", changed(scans, range(7, 8), white_over_grey=0.8))
    assert "2 scans look like maps of labels" in page.prose
    assert "1 scan looks like another contrast" in page.prose


def test_progress_ends_at_its_total(make_cohort: MakeCohort, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    write(make_cohort(30), tmp_path / "qc.html", max_volumes=10, on_progress=lambda *step: steps.append(step))
    assert steps[0] == (0, 80)
    assert steps[-1] == (80, 80)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_an_interrupted_page_leaves_the_old_one(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cohort, path = make_cohort(10), tmp_path / "pages" / "qc.html"
    path.parent.mkdir()
    path.write_text("old")

    def interrupt(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(cohort, path, on_progress=interrupt)
    assert path.read_text() == "old"
    write(cohort, path)
    assert [entry.name for entry in path.parent.iterdir()] == ["qc.html"]
    assert path.read_text().startswith("<!DOCTYPE html>")


def screenshot(page: Path, picture: Path, *options: str) -> tuple[NDArray[np.float32], str]:
    """Return what a browser shows and what it says on its console."""
    assert CHROMIUM
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        f"--user-data-dir={picture.parent / 'profile'}",
        "--window-size=1200,3000",
        f"--screenshot={picture}",
        *options,
        page.as_uri(),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return imread(picture)[..., :3], "\n".join(line for line in result.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_the_page_and_complains_of_nothing(make_cohort: MakeCohort, tmp_path: Path) -> None:
    write(make_cohort(12, {5: blank_stripe}), tmp_path / "qc.html")
    light, console = screenshot(tmp_path / "qc.html", tmp_path / "light.png")
    assert console == ""
    assert light[5, 5].min() > 0.95
    assert (light.std(axis=2) > 0.1).mean() > 0.005, "colours of the pictures"
    assert (light.mean(axis=2) < 0.3).mean() > 0.01, "letters and brains"
    dark, _ = screenshot(tmp_path / "qc.html", tmp_path / "dark.png", "--force-dark-mode")
    assert dark[5, 5].max() < 0.15


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_refuses_whatever_the_page_would_load(make_cohort: MakeCohort, tmp_path: Path) -> None:
    write(make_cohort(8), tmp_path / "qc.html")
    text = (tmp_path / "qc.html").read_text()
    (tmp_path / "other.html").write_text(text.replace("<main>", '<main><img src="other.png" alt=""><script>0</script>'))
    _, console = screenshot(tmp_path / "other.html", tmp_path / "other.png")
    assert "Content Security Policy" in console
