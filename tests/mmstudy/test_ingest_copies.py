"""What an ingest says of further copies and of names that it does not understand, through the command line."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import nibabel as nib
import numpy as np
import pytest
from typer.testing import Result

from mmdata.volume.nifti import encode_volume

RunMm = Callable[..., Result]
SHAPE, SPACING_MM = (32, 36, 32), 6.0
CENTRE_MM = np.array([0.0, -16.5, 6.5])
XFM = "from-T1w_to-MNI152NLin6Asym_mode-image_xfm.txt"
ITK_IDENTITY = (
    "#Insight Transform File V1.0\nTransform: AffineTransform_double_3_3\n"
    "Parameters: 1 0 0 0 1 0 0 0 1 0 0 0\nFixedParameters: 0 0 0\n"
)
LABELS = ("ZETA7", "QUX11", "MIRO3")


@pytest.fixture(scope="module")
def printed(run_mm: RunMm, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result, Result]:
    """A study of three participants, and what two ingests said: as lines and as JSON.

    The first participant's first run is a series and the second run a brain; the second participant's only image is a
    whole head; the third's name has a word too many.
    """
    root = tmp_path_factory.mktemp("copies")
    affine_44 = np.diag([SPACING_MM] * 3 + [1.0])
    affine_44[:3, 3] = CENTRE_MM - SPACING_MM * (np.array(SHAPE) - 1) / 2
    offset_mm = np.moveaxis(np.indices(SHAPE), 0, -1) * SPACING_MM + affine_44[:3, 3] - CENTRE_MM
    inside = ((offset_mm / [68.0, 85.0, 71.0]) ** 2).sum(axis=-1) < 1
    noise = np.random.default_rng(1).integers(300, 900, SHAPE)
    series = gzip.compress(nib.Nifti1Image(np.zeros((9, 9, 9, 3), np.int16), affine_44).to_bytes())
    brain, head = (encode_volume(data, affine_44, np.int16) for data in (noise * inside, noise))
    names = {
        f"sub-{LABELS[0]}_run-1_T1w.nii.gz": series,
        f"sub-{LABELS[0]}_run-2_T1w.nii.gz": brain,
        f"sub-{LABELS[1]}_T1w.nii.gz": head,
        f"sub-{LABELS[2]}_extra_T1w.nii.gz": brain,
    }
    for name, content in names.items():
        folder = root / "bids" / name.split("_")[0] / "anat"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        (folder / f"{name.split('_')[0]}_{XFM}").write_text(ITK_IDENTITY)
    lines, content = (
        run_mm("--study", root / "study", "ingest", "bids", root / "bids", "--workers", 0, *words)
        for words in ((), ("--json",))
    )
    assert lines.exit_code == content.exit_code == 0, lines.output
    return root, lines, content


def test_copies_and_names_that_are_not_understood_are_counted(printed: tuple[Path, Result, Result]) -> None:
    _, lines, content = printed
    text = " ".join(lines.output.split())
    assert "1 further copies of scans were found" in text
    assert "1 scans are stored from such a copy" in text
    assert "1 image files were not understood: 1 t1 like sub-…_…_T1w.nii.gz (expected sub-<label>" in text
    said = json.loads(content.stdout)
    assert (said["duplicates_passed_over"], said["from_other_copies"]) == (1, 1)
    (images,) = said["image_files_not_understood"]
    assert (images["modality"], images["number"]) == ("t1", 1)


def test_the_catalogue_says_why_and_which_file_it_was(printed: tuple[Path, Result, Result]) -> None:
    root, _, _ = printed
    with duckdb.connect(str(root / "study" / "catalog.duckdb"), read_only=True) as catalog:
        rows = catalog.execute("SELECT status, detail, source FROM scans WHERE modality = 't1'").fetchall()
    scans = {status: (detail, source) for status, detail, source in rows}
    detail, source = scans["stored"]
    assert detail.startswith("copy 2 of 2; passed over: bad-dimensions: ") and "run-2" in source
    assert "give a brain mask, sub-…_desc-brain_mask.nii.gz beside it or in derivatives/*" in scans["rejected"][0]


def test_no_label_is_outside_the_catalogue(printed: tuple[Path, Result, Result]) -> None:
    root, *said = printed
    files = [path.read_bytes() for path in (root / "study").rglob("*") if path.is_file() and "catalog" not in path.name]
    for text in (*files, *(result.output.encode() for result in said)):
        assert not any(label.encode() in text for label in LABELS)
