"""The default release stays what it was: 8 participants at 4 mm, seed 1337, as the first version wrote them.

Text, names and sizes are compared by a digest, without what came later: year of birth and the file of relatives. Voxels
are compared by their means, because their last bits depend on the processor and on the versions of the libraries that
draw them.
"""

import gzip
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

Write = Callable[..., Path]
DIGEST = "94a7877484ddf0ac7ed5cd781d7a924854a9442bc106d4df6a5b8bd4459ee181"
MEANS = {
    "20250": """
        0.0850299 0.00034507 21.61406 0.05109454 0.0002868376 24.65849 0.05576582 0.0004228828 26.76962 0.07687715
        0.0002584708 26.30418 0.06338355 0.0003410805 1.549764 0.05589858 0.0002672906 1.212294 0.04938786
        0.0002511687 1.114962 0.04835627 0.0003770856 23.39564
    """,
    "20252": """
        192.5345 0.273224 21.45864 0.2641942 21.00897 218.2535 0.2817903 24.45844 154.0367 0.295587 0.7054003 112.9248
        0.2800631 20.71728 201.1109 0.2690986 21.54347 160.7547 0.2855643 27.01677 126.3389 0.3015196 22.38804
    """,
    "31016": """
        1.234138 1.235477 1.248786 1.249412 1.249515 1.260227 1.26467 1.241867
    """,
    "20253": """
        72.15539 21.00897 103.4424 24.45844 96.57809 0.7054003 76.81954 86.09681 21.54347 84.21676 27.01677 90.45976
        24.18001 97.87222 22.38804
    """,
    "25751": """
        2.690505 2.804713 2.93688 2.716857 2.571126 2.566243 2.630844 2.830466
    """,
}


@pytest.fixture(scope="module")
def release(written: Write) -> Path:
    return written(participants=8)


def archives(release: Path) -> list[tuple[Path, dict[str, bytes]]]:
    found = []
    for path in sorted((release / "bulk").glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            found.append((path, {info.filename: archive.read(info) for info in archive.infolist()}))
    return found


def digest(release: Path) -> str:
    """Hash the files' names, the archives' members with the sizes and headers of their images, and every table."""
    paths = sorted(path for path in release.rglob("*") if path.is_file() and path.name != "ukb_rel.dat")
    lines = [path.relative_to(release).as_posix() for path in paths]
    for _, members in archives(release):
        for name, content in members.items():
            lines.append(name)
            if name.endswith(".nii.gz") and (image := volume(content)):
                affine = np.round(image.affine, 3) + 0.0
                lines.append(f"{image.shape} {image.get_data_dtype()} {affine.tolist()}")
    readme = [line for line in (release / "README.txt").read_text().splitlines(True) if "ukb_rel.dat" not in line]
    rows = [line.split(",") for line in (release / "ukb_synthetic.csv").read_text().splitlines(True)]
    place = rows[0].index('"34-0.0"')
    table = [",".join(row[:place] + row[place + 1 :]) for row in rows]
    texts = ["".join(readme), "".join(table), (release / "w12345_20260101.csv").read_text()]
    return hashlib.sha256("\n".join([*lines, *texts]).encode()).hexdigest()


def measure(release: Path) -> dict[str, list[float]]:
    """Return by field the mean of each archive's images, matrices and time series, and of each text file."""
    means: dict[str, list[float]] = {}
    for path, members in archives(release):
        numbers = [mean for name, content in members.items() if (mean := mean_of(name, content)) is not None]
        means.setdefault(path.name.split("_")[1], []).extend(numbers)
    for path in sorted((release / "bulk").glob("*.txt")):
        means.setdefault("25751", []).append(float(np.abs(np.loadtxt(path)).mean()))
    return means


def mean_of(name: str, content: bytes) -> float | None:
    if name.endswith(".mat"):
        return float(np.abs(np.loadtxt(content.decode().splitlines())).mean())
    if name.endswith(".csv.gz"):
        rows = [line.split(",")[1:] for line in gzip.decompress(content).decode().splitlines()[1:]]
        return float(np.abs(np.array(rows, dtype=float)).mean())
    image = volume(content)
    return None if image is None else float(image.get_fdata().mean())


def volume(content: bytes) -> nib.Nifti1Image | None:
    try:
        return nib.Nifti1Image.from_bytes(gzip.decompress(content))
    except EOFError:  # the truncated one
        return None


def test_names_headers_and_tables_are_as_they_were(release: Path) -> None:
    assert digest(release) == DIGEST


def test_numbers_are_as_they_were(release: Path) -> None:
    means = measure(release)
    assert means.keys() == MEANS.keys()
    for field, expected in MEANS.items():
        np.testing.assert_allclose(means[field], [float(word) for word in expected.split()], rtol=1e-4)
