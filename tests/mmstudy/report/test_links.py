"""What a report's page links to: what is there when it is made, and nothing that names folders of this machine."""

import os
from pathlib import Path

import pytest

from mmbase.checksums import write_checked
from mmdata.store.schema import StudyLayout
from mmstudy.report.links import RunLinks, find_links, run_columns
from mmtrain.bundle import BundleDirectory
from mmtrain.run import RunDirectory


@pytest.fixture
def layout(tmp_path: Path) -> StudyLayout:
    layout = StudyLayout(tmp_path / "a study")
    layout.runs.mkdir(parents=True)
    layout.models.mkdir()
    return layout


def make_run(folder: Path, name: str, weights: bytes = b"weights", *, has_page: bool = False) -> RunDirectory:
    run = RunDirectory(folder / name)
    run.path.mkdir(parents=True)
    write_checked(run.model, b"of an epoch before " + weights)
    write_checked(run.model, weights)
    run.model_card.write_text("{}")
    if has_page:
        run.report.write_text("page")
    return run


def make_bundle(path: Path, weights: bytes = b"weights") -> None:
    bundle = BundleDirectory(path)
    path.mkdir(parents=True)
    write_checked(bundle.model, weights)
    bundle.contract.write_text("{}")


def test_a_page_in_the_study_links_to_the_pages_of_runs_that_are_there(layout: StudyLayout) -> None:
    runs = [make_run(layout.runs, "with page", has_page=True), make_run(layout.runs, "without")]
    for page, address in (
        (layout.root / "report.html", "runs/with%20page/report.html"),
        (layout.sweeps / "sweep" / "report.html", "../../runs/with%20page/report.html"),
    ):
        assert find_links(layout, page, runs) == {"with page": RunLinks(page=address), "without": RunLinks()}


def test_a_bundle_is_linked_by_whoever_has_its_weights(layout: StudyLayout) -> None:
    runs = [
        make_run(layout.runs, "exported"),
        make_run(layout.runs, "other", b"other weights"),
        make_run(layout.runs, "resumed", b"of an epoch before weights"),
    ]
    make_bundle(layout.models / "age model")
    found = find_links(layout, layout.root / "report.html", runs)
    assert {name: links.bundle for name, links in found.items()} == {
        "exported": "models/age%20model/",
        "other": None,
        "resumed": None,
    }


def test_a_bundle_of_weights_that_a_run_has_left_behind_is_not_its_bundle(layout: StudyLayout) -> None:
    run = make_run(layout.runs, "run")
    make_bundle(layout.models / "early", b"of an epoch before weights")
    assert find_links(layout, layout.root / "report.html", [run]) == {"run": RunLinks()}


def test_a_page_elsewhere_links_to_nothing_but_bundles_beside_it(layout: StudyLayout, tmp_path: Path) -> None:
    runs = [make_run(layout.runs, "age", has_page=True), make_run(layout.runs, "sex", b"of sex", has_page=True)]
    make_bundle(layout.models / "in the study", b"of sex")
    make_bundle(tmp_path / "paper" / "age-model")
    for folder, bundle in ((tmp_path, None), (tmp_path / "paper", "age-model/")):
        assert find_links(layout, folder / "report.html", runs) == {
            "age": RunLinks(bundle=bundle),
            "sex": RunLinks(),
        }


def test_a_run_outside_of_the_study_is_not_linked_and_a_runs_folder_that_is_a_link_is(
    layout: StudyLayout, tmp_path: Path
) -> None:
    (tmp_path / "scratch").mkdir()
    layout.runs.rmdir()
    layout.runs.symlink_to(tmp_path / "scratch")
    inside = make_run(layout.runs, "inside", has_page=True)
    outside = make_run(tmp_path / "elsewhere", "outside", has_page=True)
    found = find_links(layout, layout.root / "report.html", [inside, outside])
    assert found == {"inside": RunLinks(page="runs/inside/report.html"), "outside": RunLinks()}


def test_a_run_is_told_with_the_commands_that_make_its_page_and_bundle() -> None:
    columns = run_columns(["a", "b c"], {"a": RunLinks(page="runs/a/report.html")})
    assert columns == {
        "name": ["a", "b c"],
        "page": ["runs/a/report.html", None],
        "page_command": ["mm page a", "mm page 'b c'"],
        "bundle": [None, None],
        "bundle_command": ["mm export-model a FOLDER", "mm export-model 'b c' FOLDER"],
    }


def test_what_cannot_be_read_or_named_beside_the_page_is_passed_over(
    layout: StudyLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, locked = make_run(layout.runs, "run"), tmp_path / "locked"
    for path in (locked, tmp_path / os.fsdecode(b"no \xff text"), tmp_path / "open"):
        make_bundle(path)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).parent != locked and access(path, mode))
    assert find_links(layout, tmp_path / "report.html", [run])["run"].bundle == "open/"
