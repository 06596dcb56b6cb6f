"""Run by `test_volume_files`: with one more volume modality, make a release and ingest it.

What a developer would write in `mmbase/names.py` and `mmdata/sources/volume_files.py` stands first, before any other
module is imported. SWI, field 20251, has a grid of its own and a matrix to the T1 of its visit, but none to MNI152.
"""

import json
import sys
from pathlib import Path

from mmbase.names import MODALITIES, Modality
from mmdata.sources.volume_files import ONLY_IMAGE, VOLUME_FILES, BidsFiles, UkbFiles, UkbImage, VolumeFiles

MODALITIES["swi"] = Modality(name="swi", title="SWI", kind="volume", channel=3)
VOLUME_FILES["swi"] = VolumeFiles(
    ukb=UkbFiles(
        field=20251,
        folder="SWI",
        images={ONLY_IMAGE: UkbImage(brain="SWI/SWI_brain.nii.gz")},
        base="t1",
        matrix_to_base="SWI/SWI_to_T1.mat",
    ),
    bids=BidsFiles(datatype="swi", suffix="swi"),
)

from typer.testing import CliRunner  # noqa: E402

from cli import app  # noqa: E402
from mmdata.ledger.receipts import read_scan_receipts  # noqa: E402
from mmdata.store.array import open_array  # noqa: E402
from mmdata.study import load_study  # noqa: E402
from mmdata.synth.release import SynthConfig, write_release  # noqa: E402

SETTINGS = ("volumes.modalities=['t1','swi']", "volumes.sides=[64]", "train.side=64", "connectivity.enabled=false")


def mm(*words: object) -> None:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def overlap_with_t1(root: Path) -> list[float]:
    """Return the Dice overlap of the brains of each sample that has both volumes, on the study's grid."""
    study = load_study(root)
    receipts = read_scan_receipts(study.layout.receipts).values()
    rows = {m: {r.row for r in receipts if r.modality == m and r.status == "stored"} for m in ("t1", "swi")}
    both = [(row,) for row in sorted(rows["t1"] & rows["swi"])]
    t1, swi = (open_array(study.layout.volume_array(m, 64)).read_rows(both) > 0 for m in ("t1", "swi"))
    return [float(2 * (a & b).sum() / (a.sum() + b.sum())) for a, b in zip(t1, swi, strict=True)]


def ingest(folder: Path) -> dict[str, object]:
    release, root = folder / "release", folder / "study"
    write_release(release, SynthConfig(participants=4, voxel_mm=4.0), workers=0, on_progress=lambda *_: None)
    options = [word for setting in SETTINGS for word in ("--set", setting)]
    mm("--study", root, "init", "--source", release, *options)
    mm("--study", root, "ingest", "ukb", "--workers", 0)
    mm("--study", root, "qc")
    receipts = [r for r in read_scan_receipts(load_study(root).layout.receipts).values() if r.modality == "swi"]
    return {
        "archives": len(list(release.glob("bulk/*_20251_*.zip"))),
        "stored": sum(receipt.status == "stored" for receipt in receipts),
        "overlap_with_t1": min(overlap_with_t1(root)),
        "on_the_page": ">SWI" in (root / "qc.html").read_text(),
        "in_the_readme": "SWI/SWI_brain.nii.gz" in (release / "README.txt").read_text(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(ingest(Path(sys.argv[1]))))
