"""Archives with a wrong member. Each function changes the members of one bulk item, by name."""

import gzip
from collections.abc import Callable, Mapping

from mmdata.sources.volume_files import ONLY_IMAGE, VOLUME_FILES

Members = Mapping[str, bytes]

T1_IMAGE = VOLUME_FILES["t1"].ukb.images[ONLY_IMAGE].brain
T1_MATRIX = VOLUME_FILES["t1"].ukb.matrix
GLASSER_SERIES = "fMRI.Glasser.csv.gz"
_KEPT_REGIONS = 340


def unusable(members: Members) -> Members:
    """Lie in the folder by which UK Biobank marks what is not data."""
    return {name.replace("T1/", "T1/unusable/", 1): content for name, content in members.items()}


def missing_image(members: Members) -> Members:
    """Lack the image."""
    return {name: content for name, content in members.items() if name != T1_IMAGE}


def singular_matrix(members: Members) -> Members:
    """Map every slice of the image to one plane."""
    rows = members[T1_MATRIX].decode().splitlines()
    return {**members, T1_MATRIX: "".join(f"{row}\n" for row in (rows[0], rows[1], "0  0  0  0  ", rows[3])).encode()}


def text_matrix(members: Members) -> Members:
    """Hold words where the matrix should be."""
    return {**members, T1_MATRIX: b"Could not open matrix file\n"}


def few_regions(members: Members) -> Members:
    """Lack the time series of some regions."""
    return _with_series(members, lambda lines: lines[: 1 + _KEPT_REGIONS])


def text_in_series(members: Members) -> Members:
    """Hold a word among the numbers."""
    return _with_series(members, lambda lines: [lines[0], lines[1].rsplit(",", 1)[0] + ",high", *lines[2:]])


def nan_series(members: Members) -> Members:
    """Hold NaN everywhere."""
    return _with_series(members, lambda lines: [lines[0], *map(_nan_row, lines[1:])])


def _with_series(members: Members, change: Callable[[list[str]], list[str]]) -> Members:
    lines = gzip.decompress(members[GLASSER_SERIES]).decode().splitlines()
    text = "".join(f"{line}\n" for line in change(lines))
    return {**members, GLASSER_SERIES: gzip.compress(text.encode(), compresslevel=1, mtime=0)}


def _nan_row(line: str) -> str:
    label, *values = line.split(",")
    return ",".join([label, *("nan" for _ in values)])
