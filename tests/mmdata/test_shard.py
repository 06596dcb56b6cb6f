"""What a worker needs at most, measured in a process that does nothing else."""

import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mmbase.records import EnrolledSample, ScanCandidate, Visit
from mmdata.ingest import plan_ingest
from mmdata.store.spec import ensure_array
from mmdata.study import StudyConfig, create_study
from mmdata.volume.nifti import encode_volume
from mmdata.volume.settings import IngestSettings, VolumeSettings

SHAPE = (320, 320, 320)
MEASURE = """
import json, pickle, sys
from mmdata.shard import store_shard
with open(sys.argv[1], "rb") as file:
    task = pickle.load(file)
receipts = store_shard(task)
with open("/proc/self/status") as file:  # getrusage would count what the parent had before exec
    peak_kib = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
print(json.dumps([peak_kib * 1024, [receipt.status for receipt in receipts]]))
"""


def head(dtype: type) -> NDArray[np.generic]:
    """An ellipsoid of tissue with noise, nearly as large as any image that is read."""
    rng = np.random.default_rng(0)
    axes = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in SHAPE), indexing="ij", sparse=True)
    inside = sum((axis / radius) ** 2 for axis, radius in zip(axes, (0.66, 0.7, 0.57), strict=True)) < 1
    return (inside * (600 + 100 * rng.standard_normal(SHAPE, dtype=np.float32))).astype(dtype)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize(
    ("dtype", "ingest"),
    [
        pytest.param(np.int16, IngestSettings(), marks=pytest.mark.slow, id="int16"),
        pytest.param(np.float32, IngestSettings(), marks=pytest.mark.slow, id="float32"),
        pytest.param(np.float64, IngestSettings(), id="float64"),
        pytest.param(np.float32, IngestSettings(register="affine", min_registration_nmi=0.0), id="registered"),
    ],
)
def test_a_worker_stays_within_its_projection(tmp_path: Path, dtype: type, ingest: IngestSettings) -> None:
    affine_44 = np.array([[-0.7, 0, 0, 111.65], [0, 0.7, 0, -111.65], [0, 0, 0.7, -111.65], [0, 0, 0, 1]])
    archive = tmp_path / "1000001_20252_2_0.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as members:
        members.writestr("T1/T1_unbiased_brain.nii.gz", encode_volume(head(dtype), affine_44, dtype))
        if ingest.register == "never":
            members.writestr("T1/transforms/T1_to_MNI_linear.mat", "1 0 0 -21.65\n0 1 0 -2.15\n0 0 1 -33.15\n0 0 0 1\n")
    config = StudyConfig(volumes=VolumeSettings(modalities=("t1",)), ingest=ingest)
    study = create_study(tmp_path / "study", config)
    visit = Visit(1_000_001, 2)
    samples = {visit: EnrolledSample(sample_id="0" * 16, row=0, split="train")}
    scan = ScanCandidate(visit=visit, modality="t1", path=archive)
    plan = plan_ingest(study, [scan], samples, num_rows=32, workers=1)
    assert len(plan.tasks) == 1
    for spec in plan.arrays:
        ensure_array(spec)
    (tmp_path / "task").write_bytes(pickle.dumps(plan.tasks[0]))
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "task")], capture_output=True, text=True, check=True
    )
    peak_bytes, statuses = json.loads(measured.stdout)
    assert statuses == ["stored"]
    assert peak_bytes <= plan.projection.worker_bytes
