"""Run by `test_volume_files`: with one more volume modality, make a release and ingest it.

What a developer would write in `mmbase/names.py` and `mmdata/sources/volume_files.py` is added before any other module
is imported. SWI, field 20251, has a grid of its own and a matrix to the T1 of its visit, but none to MNI152.
"""

# ruff: noqa: PLC0415
import json
import sys
from pathlib import Path

SETTINGS = ("volumes.modalities=['t1','swi']", "volumes.sides=[64]", "train.side=64", "connectivity.enabled=false")


def add_modality() -> None:
    from mmbase.names import MODALITIES, Modality
    from mmdata.sources.volume_files import ONLY_IMAGE, VOLUME_FILES, BidsFiles, UkbFiles, UkbImage, VolumeFiles

    MODALITIES["swi"] = Modality(name="swi", title="SWI", kind="volume")
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


def mm(*words: object) -> None:
    from typer.testing import CliRunner

    from cli import app

    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def ingest(folder: Path) -> dict[str, object]:
    from mmdata.ledger.receipts import read_scan_receipts
    from mmdata.store.array import open_array
    from mmdata.study import load_study
    from mmdata.synth.release import SynthConfig, write_release

    release, root = folder / "release", folder / "study"
    write_release(release, SynthConfig(participants=4, voxel_mm=4.0), workers=0, on_progress=lambda *_: None)
    options = [word for setting in SETTINGS for word in ("--set", setting)]
    mm("--study", root, "init", "--source", release, *options)
    mm("--study", root, "ingest", "ukb", "--workers", 0)
    mm("--study", root, "qc")
    layout = load_study(root).layout
    receipts = [receipt for receipt in read_scan_receipts(layout.receipts).values() if receipt.status == "stored"]
    rows = {name: {receipt.row for receipt in receipts if receipt.modality == name} for name in ("t1", "swi")}
    both = [(row,) for row in sorted(rows["t1"] & rows["swi"])]
    t1, swi = (open_array(layout.volume_array(name, 64)).read_rows(both) > 0 for name in ("t1", "swi"))
    overlaps = [float(2 * (a & b).sum() / (a.sum() + b.sum())) for a, b in zip(t1, swi, strict=True)]
    return {
        "archives": len(list(release.glob("bulk/*_20251_*.zip"))),
        "stored": len(rows["swi"]),
        "overlap_with_t1": min(overlaps),
        "on_the_page": ">SWI" in (root / "qc.html").read_text(),
        "in_the_readme": "SWI/SWI_brain.nii.gz" in (release / "README.txt").read_text(),
    }


if __name__ == "__main__":
    add_modality()
    sys.stdout.write(json.dumps(ingest(Path(sys.argv[1]))))
