"""What planning takes at the size of UK Biobank: of an ingest, a withdrawal and a sweep.

``python -m benchmarks.many_participants [PARTICIPANTS [FOLDER]]``. The release is a tree of empty files, four for each
participant, and a study that has all of them stored by its receipts; no image is read. The sweep is that of the
reference's 700 cells by all three methods, with baselines, on a made-up catalogue. Each step runs in a process of its
own, whose time and peak memory are printed as JSON.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.made_study import make_labelled_study
from catalog.database import open_catalog
from mmbase.json_text import parse_content
from mmdata.execution.pools import LocalPool
from mmdata.ledger.receipt_kinds import ScanReceipt
from mmdata.ledger.receipts import SCAN_RECEIPTS, append_receipts, record_samples
from mmdata.sources.every import find_sources, parse_source
from mmdata.store.schema import StudyLayout
from mmdata.study import Study, StudyConfig, create_study
from mmdata.study_arrays import stored_modalities
from mmstudy.ingest import _register, preview_ingest, update_catalog
from mmstudy.settings import load_study
from mmstudy.sweep.planning import plan_sweep
from mmstudy.sweep.settings import SweepSettings
from mmstudy.withdraw import run_withdrawal

FIELDS = ("20252_2_0.zip", "20253_2_0.zip", "20250_2_0.zip", "31016_2_0.zip")
FIRST_EID, PER_FOLDER, NUM_WITHDRAWN, NUM_CELLS = 1_000_000, 1000, 10, 700
SALT = "salt-of-the-benchmark"


def main() -> None:
    """Make the tree, then measure each step."""
    num_participants = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        make_release(Path(folder) / "release", num_participants)
        make_labelled_study(Path(folder) / "labelled", num_participants)
        found = {step: _measure(step, folder) for step in STEPS}
    print(json.dumps({"participants": num_participants, **found}, indent=2))


def make_release(root: Path, num_participants: int) -> None:
    """Write empty files named as UK Biobank names them."""
    for eid in range(FIRST_EID, FIRST_EID + num_participants):
        folder = root / str(eid // PER_FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        for name in FIELDS:
            (folder / f"{eid}_{name}").touch()


def plan(folder: Path) -> None:
    """Plan the first ingest, as ``mm ingest ukb --dry-run`` does."""
    study = Study(StudyLayout(folder / "study"), StudyConfig(salt=SALT))
    planned = preview_ingest(study, [parse_source(str(folder / "release"))], [], LocalPool(processes=2))
    assert planned.num_scans


def plan_again(folder: Path) -> None:
    """Plan an ingest of the study whose arrays are gone, so that every scan has a receipt and is to be read."""
    planned = preview_ingest(
        load_study(folder / "study"), [parse_source(str(folder / "release"))], [], LocalPool(processes=2)
    )
    assert planned.num_scans


def enrol(folder: Path) -> None:
    """Make the study in which every scan is stored, as far as receipts and catalogue say."""
    study = create_study(folder / "study", StudyConfig(salt=SALT, sources=(str(folder / "release"),)))
    found = find_sources([parse_source(str(folder / "release"))], study.config)
    with open_catalog(study.layout.catalog, writable=True) as catalog:
        samples = _register(catalog, study, found, frozenset()).enrolment.samples.values()
    record_samples(study.layout.receipts, samples)
    measures = dict.fromkeys(("clamp_low", "clamp_high", "median", "contrast", "brain_ml", "nonzero_share"), 1234.5678)
    content = {"status": "stored", "fingerprint": "f" * 32, "measures": measures, "provenance": {"brain": "source"}}
    for modality in stored_modalities(study.config):
        append_receipts(
            study.layout.receipts / SCAN_RECEIPTS,
            [
                parse_content(
                    {
                        **content,
                        "sample_id": sample.sample_id,
                        "row": sample.row,
                        "modality": modality,
                        "checksums": {"128": f"{modality}{sample.row:028x}", "64": f"{modality}{sample.row:028x}"},
                    },
                    ScanReceipt,
                )
                for sample in samples
            ],
        )
    update_catalog(study)


def withdraw(folder: Path) -> None:
    """Withdraw a few participants."""
    listed = folder / "w1_20260102.csv"
    listed.write_text("".join(f"{FIRST_EID + 7 * i}\n" for i in range(NUM_WITHDRAWN)))
    result = run_withdrawal(load_study(folder / "study"), [listed], _silent, lambda _: True)
    assert result.samples == NUM_WITHDRAWN


def sweep(folder: Path) -> None:
    """Plan a sweep, as ``mm sweep --method separate,shared,frozen --dry-run`` does."""
    planned = plan_sweep(load_study(folder / "labelled"), SweepSettings(methods=("separate", "shared", "frozen")))
    assert len(planned.trainable) == NUM_CELLS


STEPS: dict[str, Callable[[Path], None]] = {
    "plan": plan,
    "enrol": enrol,
    "plan_again": plan_again,
    "withdraw": withdraw,
    "plan_sweep": sweep,
}


@contextmanager
def _silent(_: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


def _measure(step: str, folder: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.many_participants", "--step", step, folder]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(told.splitlines()[-1])
    return found


def _run_step(step: str, folder: str) -> None:
    started = time.perf_counter()
    STEPS[step](Path(folder))
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    found = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time(), "peak_gb": peak_gb}
    print(json.dumps({name: round(value, 2) for name, value in found.items()}))


if __name__ == "__main__":
    _run_step(*sys.argv[2:]) if sys.argv[1:2] == ["--step"] else main()
