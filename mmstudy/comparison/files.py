"""The files of a comparison: tables and pictures in one folder, replaced as a whole by the next comparison."""

from io import BytesIO
from pathlib import Path

import polars as pl

from mmbase.files import SHARED_MODE, make_directory, write_bytes, write_text
from mmstudy.comparison.compare import Comparison
from mmstudy.comparison.drawing.pictures import draw_pictures, picture_names
from mmstudy.comparison.published_table import published_csv_of_scores
from mmstudy.comparison.tables import told_notes
from mmtrain.drawing.figures import to_png, to_svg
from mmtrain.errors import TrainError

RESULTS, PUBLISHED, NOTES = "results.parquet", "results.csv", "notes.txt"


def require_free(folder: Path) -> None:
    """Refuse a folder in which files would be replaced.

    Raises
    ------
    TrainError
        There is something in it, or it is a file.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise TrainError(f"{folder} is there already and is no empty folder.", "Give another --output, or --overwrite.")


def write_comparison(comparison: Comparison, folder: Path) -> list[str]:
    """Write tables and pictures; return the names of the files. Pictures that no longer hold are removed.

    results.parquet has every model, results.csv the same in the 23 published columns; best, paired, effects and hours
    are tables of their own, and notes.txt says what to know of all of them.
    """
    make_directory(folder)
    results = BytesIO()  # what polars raises on a full disk does not say that it is full
    _marked(comparison, comparison.results).write_parquet(results)
    write_bytes(folder / RESULTS, results.getvalue(), mode=SHARED_MODE)
    write_bytes(folder / PUBLISHED, published_csv_of_scores(comparison.results).encode(), mode=SHARED_MODE)
    write_text(folder / NOTES, "".join(f"{note}\n" for note in told_notes(comparison)), mode=SHARED_MODE)
    written = [RESULTS, PUBLISHED, NOTES]
    for name in ("best", "paired", "effects", "hours"):
        write_bytes(folder / f"{name}.csv", to_csv(_marked(comparison, getattr(comparison, name))), mode=SHARED_MODE)
        written.append(f"{name}.csv")
    for picture in draw_pictures(comparison):
        write_bytes(folder / f"{picture.name}.png", to_png(picture.figure), mode=SHARED_MODE)
        write_bytes(folder / f"{picture.name}.svg", to_svg(picture.figure), mode=SHARED_MODE)
        written += [f"{picture.name}.png", f"{picture.name}.svg"]
    possible = [f"{name}.{form}" for name in picture_names(comparison) for form in ("png", "svg")]
    for name in set(possible) - set(written):
        (folder / name).unlink(missing_ok=True)
    return written


def _marked(comparison: Comparison, table: pl.DataFrame) -> pl.DataFrame:
    """Return a table that says of itself whether its cells have participants of their own."""
    return table.with_columns(each_its_own=pl.lit(True)) if comparison.each_its_own else table


def to_csv(frame: pl.DataFrame) -> bytes:
    """Return a table as text; lists are joined by +."""
    lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
    return frame.with_columns(pl.col(lists).list.join("+")).write_csv().encode()
