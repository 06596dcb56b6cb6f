"""Tables in the published columns as scores and back."""

import os
from pathlib import Path

import polars as pl
import pytest

from catalog.fields import load_dictionary
from mmstudy.comparison.compare import compare
from mmstudy.comparison.published_table import published_csv_of_scores, read_published
from mmstudy.comparison.scores import SCORES
from mmstudy.results.published import HEADER
from mmtrain.errors import TrainError
from tests.mmstudy.comparison.test_mixed_models import PUBLISHED_TABLE

DICTIONARY = load_dictionary()
LINES = (
    ",".join(HEADER),
    "0,Test,Sex (Male),rsfMRI Connectivity + FLAIR + T1,0.98,0.97,0.98,0.975,0.999,1003.066667,0.03,0,0,0,"
    "No,No,No,No,No,Yes,Yes,No,Yes,Constitutional",
    "1,Test,Grip,Non-imaging data (C + S),0.5,0.25,0.5,0.33,0.5,60,0.7,0,0,0,"
    "Yes,Yes,Yes,No,No,No,No,No,No,Disease",
    "2,Test,Body Fat,DWI + Non-imaging data (C),0.85,0.84,0.85,0.845,0.86,,0.03,0.8,0.9,2.5,"
    "Yes,Yes,No,No,No,No,No,Yes,No,Disease",
)  # fmt: skip


def write(folder: Path, *lines: str) -> Path:
    path = folder / "table.csv"
    path.write_bytes("\r\n".join(lines).encode())
    return path


def test_a_table_is_read_by_the_names_of_cells_and_written_as_it_was(tmp_path: Path) -> None:
    scores = read_published(write(tmp_path, *LINES), DICTIONARY)
    assert scores.schema == SCORES
    assert scores["cell"].to_list() == [
        "sex_flair-t1-connectivity",
        "Grip_metadata_constitutional-serology",
        "body_fat_dwi-metadata_constitutional",
    ]
    assert scores["kind"].to_list() == ["binary", "binary", "continuous"]
    assert scores["score"].to_list() == [0.98, 0.5, 0.8] and scores["r2"].to_list() == [None, None, 0.8]
    assert scores["minutes"].to_list() == [1003.066667, 60.0, None]
    assert published_csv_of_scores(scores).splitlines() == list(LINES)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((LINES[0].replace(",Loss", ""), LINES[1]), "lacks the columns Loss"),
        ((LINES[0], LINES[1].replace("0.97,", "much,")), "numbers in column Weighted precision"),
        ((LINES[0], LINES[1].replace(",Yes,Cons", ",Maybe,Cons")), "Yes or No in column rsfMRI connectivity"),
        ((LINES[0], LINES[1] + ",more"), "not as many cells as the header"),
    ],
)
def test_what_is_no_such_table_is_refused_with_the_column(tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    with pytest.raises(TrainError, match=words):
        read_published(write(tmp_path, *lines), DICTIONARY)
    with pytest.raises(TrainError, match="cannot be read as a table"):
        read_published(tmp_path / "none.csv", DICTIONARY)


def test_the_published_table_has_its_cells_its_hours_and_its_suspicious_models() -> None:
    path = os.environ.get(PUBLISHED_TABLE)
    if not path:
        pytest.skip(f"{PUBLISHED_TABLE} does not name a copy of the published table, which is not part of mm")
    scores = read_published(Path(path), DICTIONARY)
    found = compare(scores, None)
    flagged = ("not_above_chance", "not_better_than_baseline", "not_told_apart_from_baseline")
    assert found.counts == {"models": 700, "predict_one_class": 169, **dict.fromkeys(flagged, 0)}
    assert scores["cell"].n_unique() == 700 and (scores["kind"] == "binary").sum() == 494
    assert round(found.hours_in_all, 1) == 3658.9 and found.best.height == 25
    best = dict(found.best.select("target", "cell").iter_rows())
    assert best["sex"] == "sex_flair-t1-dwi" and best["age"] == "age_flair-t1"
    assert best["hypertension"] == "hypertension_metadata_constitutional-serology"
    assert set(found.best["chosen_on"]) == {"test"}
    assert published_csv_of_scores(scores).splitlines() == Path(path).read_text().splitlines()
    assert found.best.filter(pl.col("kind") == "continuous").height == 8
