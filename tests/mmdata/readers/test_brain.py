import dataclasses
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from mmdata.errors import ScanRejected, StudyError
from mmdata.readers.brain import extract_brain, on_same_grid, require_extractor
from mmdata.readers.native import NativeScan
from mmdata.volume.nifti import Volume
from mmdata.volume.settings import IngestSettings, VolumeSettings

VOLUMES, NO_EXTRACTOR = VolumeSettings(), IngestSettings()
SCRATCH = Path("scratch")
"""In the folder that each test works in."""
SHAPE = (50, 60, 50)
AFFINE_44 = np.array([[-4.0, 0, 0, 100], [0, 3.9, 0.6, -120], [0, -0.6, 3.9, -90], [0, 0, 0, 1.0]])
EXTRACTOR = """
import sys, time
import nibabel as nib
import numpy as np
source, target, *options = sys.argv[1:]
options = dict(option.split("=") for option in options)
image = nib.load(source)
data = image.get_fdata()
ticks = np.indices(data.shape) - (np.array(data.shape) // 2).reshape(3, 1, 1, 1)
brain = sum((t / r) ** 2 for t, r in zip(ticks, (16, 20, 15))) <= 1
if options.get("write") == "nothing":
    sys.exit(0)
if options.get("write") == "junk":
    open(target, "wb").write(b"not an image")
    sys.exit(0)
if options.get("write") == "half":
    data, brain = data[:25], brain[:25]
written = {"mask": brain, "all": brain + 1.0, "zeros": 0.0 * brain}.get(options.get("write"), 7 * data * brain)
nib.save(nib.Nifti1Image(np.asarray(written, np.float32), image.affine), target)
if options.get("complain"):
    print("loading\\n" + options["complain"], file=sys.stderr)
    sys.exit(3)
"""


def ellipsoid(*radii: float) -> NDArray[np.bool_]:
    ticks = np.indices(SHAPE) - (np.array(SHAPE) // 2).reshape(3, 1, 1, 1)
    return np.asarray(sum((t / r) ** 2 for t, r in zip(ticks, radii, strict=True)) <= 1)


BRAIN = ellipsoid(16, 20, 15)
"""1,250 ml; the stand-in extractor finds the same."""
INTENSITIES = np.random.default_rng(6).integers(100, 900, SHAPE).astype(np.int16)


def native(data: NDArray[np.generic], brain: NDArray[np.bool_] | None = None) -> NativeScan:
    return NativeScan(volume=Volume(data, AFFINE_44), mni_from_native_44=None, brain_XYZ=brain)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rejection(scan: NativeScan, ingest: IngestSettings = NO_EXTRACTOR) -> ScanRejected:
    with pytest.raises(ScanRejected) as caught:
        extract_brain(scan, VOLUMES, ingest, SCRATCH)
    return caught.value


@pytest.fixture
def extractor(tmp_path: Path) -> Callable[..., IngestSettings]:
    """Name a stand-in program, at a path with a space in it, as the extractor."""
    program = tmp_path / "stand in.py"
    program.write_text(EXTRACTOR)

    def settings(*options: str, timeout_s: float = 60.0) -> IngestSettings:
        words = (sys.executable, str(program), "{input}", "{output}", *options)
        return IngestSettings(brain_extractor=shlex.join(words), extractor_timeout_s=timeout_s)

    return settings


@pytest.mark.parametrize("dtype", ["int16", "float32", "uint8"])
def test_brain_image_is_taken_as_it_is(dtype: str) -> None:
    scan = native((INTENSITIES % 200 * BRAIN).astype(dtype))
    assert extract_brain(scan, VOLUMES, NO_EXTRACTOR, SCRATCH) == (scan.volume, "image")


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_mask_keeps_what_is_inside_and_clears_what_is_outside(dtype: str) -> None:
    scan = native(INTENSITIES.astype(dtype), BRAIN)
    brain, source = extract_brain(scan, VOLUMES, NO_EXTRACTOR, SCRATCH)
    assert source == "mask"
    assert brain.data_XYZ.dtype == dtype
    np.testing.assert_array_equal(brain.data_XYZ, np.where(BRAIN, INTENSITIES, 0))
    np.testing.assert_array_equal(brain.affine_44, AFFINE_44)


@pytest.mark.parametrize(
    "mask", [np.zeros(SHAPE, bool), np.ones(SHAPE, bool), BRAIN[:-1]], ids=["empty", "full", "of another shape"]
)
def test_mask_that_can_be_none_is_rejected(mask: NDArray[np.bool_]) -> None:
    assert rejection(native(INTENSITIES, mask)).reason == "bad-mask"


def test_head_without_a_mask_is_rejected_with_what_to_give() -> None:
    found = rejection(native(INTENSITIES))
    assert found.reason == "not-skull-stripped"
    assert "at most 75%" in found.detail and "got 100%" in found.detail
    assert "--brain-extractor" in found.detail and "mask" in found.detail


def test_the_mask_that_a_head_lacks_is_named() -> None:
    found = rejection(dataclasses.replace(native(INTENSITIES), expected_mask="sub-…_desc-brain_mask.nii.gz beside it"))
    assert "give a brain mask, sub-…_desc-brain_mask.nii.gz beside it, or --brain-extractor" in found.detail


@pytest.mark.parametrize("background", [-1, 12])
def test_constant_background_other_than_zero_is_named(background: int) -> None:
    found = rejection(native(np.where(BRAIN, INTENSITIES, background)))
    assert found.reason == "not-skull-stripped"
    assert f"all of the border being {background}" in found.detail


def test_whole_head_on_a_black_background_is_no_brain() -> None:
    head = ellipsoid(24, 29, 24)
    assert head.mean() < VOLUMES.max_nonzero_share
    found = rejection(native(INTENSITIES * head))
    assert found.reason == "not-skull-stripped"
    assert re.search(r"at most 2,500 ml .* got 4,\d{3} ml", found.detail)


@pytest.mark.parametrize("masked", [True, False], ids=["mask", "image"])
def test_brain_of_impossible_size_is_rejected(masked: bool) -> None:
    pea = ellipsoid(8, 8, 8)
    found = rejection(native(INTENSITIES, pea) if masked else native(INTENSITIES * pea))
    assert found.reason == "implausible-brain"
    assert "300 to 2,500 ml" in found.detail


def test_size_is_judged_in_millilitres_not_voxels() -> None:
    scan = native(INTENSITIES * BRAIN)
    shrunk = dataclasses.replace(scan, volume=Volume(scan.volume.data_XYZ, np.diag([1.0, 1.0, 1.0, 1.0])))
    assert rejection(shrunk).reason == "implausible-brain"


@pytest.mark.parametrize("scan", [native(0 * INTENSITIES), native(INTENSITIES * ~BRAIN, BRAIN)])
def test_nothing_but_zeros_is_empty(scan: NativeScan) -> None:
    assert rejection(scan).reason == "empty"


@pytest.mark.parametrize("write", ["brain", "mask"])
@pytest.mark.parametrize("dtype", ["int16", "int64", "float64"])
def test_extractor_says_where_the_brain_is_and_the_intensities_stay(
    extractor: Callable[..., IngestSettings], write: str, dtype: str
) -> None:
    brain, source = extract_brain(native(INTENSITIES.astype(dtype)), VOLUMES, extractor(f"write={write}"), SCRATCH)
    assert source == "extractor"
    assert brain.data_XYZ.dtype == dtype
    np.testing.assert_array_equal(brain.data_XYZ, np.where(BRAIN, INTENSITIES, 0))


def test_extractor_is_for_heads_alone(extractor: Callable[..., IngestSettings]) -> None:
    fails = extractor("complain=always")
    assert extract_brain(native(INTENSITIES * BRAIN), VOLUMES, fails, SCRATCH)[1] == "image"
    assert extract_brain(native(INTENSITIES, BRAIN), VOLUMES, fails, SCRATCH)[1] == "mask"
    assert rejection(native(INTENSITIES * ellipsoid(24, 29, 24)), fails).reason == "extractor-failed"


@pytest.mark.parametrize(
    ("option", "detail"),
    [
        ("write=nothing", "wrote no {output}"),
        ("write=junk", "not-gzip"),
        ("write=half", "on its input's grid"),
        ("write=all", "100% of its voxels are not"),
        ("write=zeros", "0% of its voxels are not"),
        ("complain=no such model", "exit code 3: no such model"),
    ],
)
def test_what_an_extractor_does_wrong_is_said(
    extractor: Callable[..., IngestSettings], option: str, detail: str
) -> None:
    found = rejection(native(INTENSITIES), extractor(option))
    assert found.reason == "extractor-failed"
    assert detail in found.detail


@pytest.mark.parametrize("complaint", ["cannot open 1000223.nii", "x" * 500, "\x1b[31mred"])
def test_complaint_that_could_identify_or_flood_is_kept_back(
    extractor: Callable[..., IngestSettings], complaint: str
) -> None:
    assert rejection(native(INTENSITIES), extractor(f"complain={complaint}")).detail.endswith("exit code 3")


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_slow_extractor_is_stopped_with_all_that_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {shlex.quote(str(pid_file))}; wait; true {{input}} {{output}}"
    for timeout_s in (0.5, 5.0, 50.0):
        ingest = IngestSettings(brain_extractor=shlex.join(["sh", "-c", script]), extractor_timeout_s=timeout_s)
        found = rejection(native(INTENSITIES), ingest)
        assert found.reason == "extractor-failed" and f"stopped after {timeout_s:g} s" in found.detail
        if pid_file.exists() and pid_file.read_text():  # it had time to start a child
            break
    deadline = time.monotonic() + 120
    while is_running(int(pid_file.read_text())):
        assert time.monotonic() < deadline, "the extractor's own child goes on"
        time.sleep(0.05)


def test_extractor_works_in_the_study_under_neutral_names_and_leaves_nothing_behind(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    script = f"printf '%s\\n' {{input}} {{output}} > {shlex.quote(str(seen))}; exit 1"
    rejection(native(INTENSITIES), IngestSettings(brain_extractor=shlex.join(["sh", "-c", script])))
    names = [Path(line) for line in seen.read_text().splitlines()]
    assert [name.name for name in names] == ["input.nii.gz", "output.nii.gz"]
    assert all(name.parts[0] == SCRATCH.name for name in names)
    assert sorted(tmp_path.iterdir()) == [tmp_path / SCRATCH, seen] and not any(SCRATCH.iterdir())


def test_words_of_the_command_are_not_read_by_a_shell(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    ingest = IngestSettings(brain_extractor=f"true {{input}} {{output}} ; touch {shlex.quote(str(mark))}")
    assert rejection(native(INTENSITIES), ingest).reason == "extractor-failed"
    assert not mark.exists()


def test_extractor_that_can_be_started_is_accepted(extractor: Callable[..., IngestSettings]) -> None:
    require_extractor(extractor().brain_extractor)


@pytest.mark.parametrize(
    ("command", "match"),
    [
        ("no-such-program {input} {output}", "no program on this machine"),
        ("strip '{input} {output}", "no command line"),
    ],
)
def test_extractor_that_cannot_be_started_is_the_users_fault(command: str, match: str) -> None:
    with pytest.raises(StudyError, match=match):
        require_extractor(command)
    with pytest.raises(StudyError, match=match):
        extract_brain(native(INTENSITIES), VOLUMES, IngestSettings(brain_extractor=command), SCRATCH)


def test_program_of_another_machine_is_the_users_fault(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF of another kind")
    program.chmod(0o700)
    with pytest.raises(StudyError, match="cannot be started"):
        ingest = IngestSettings(brain_extractor=f"{program} {{input}} {{output}}")
        extract_brain(native(INTENSITIES), VOLUMES, ingest, SCRATCH)


@pytest.mark.parametrize(("shift_mm", "same"), [(0.0, True), (0.05, True), (0.5, False)])
def test_grids_are_the_same_to_a_tenth_of_a_millimetre(shift_mm: float, same: bool) -> None:
    volume = Volume(INTENSITIES, AFFINE_44)
    moved_44 = AFFINE_44.copy()
    moved_44[1, 3] += shift_mm
    assert on_same_grid(volume, Volume(INTENSITIES, moved_44)) is same


def test_grids_that_part_at_one_corner_differ() -> None:
    stretched_44 = AFFINE_44 @ np.diag([1.0, 1.0, 1.002, 1.0])
    assert not on_same_grid(Volume(INTENSITIES, AFFINE_44), Volume(INTENSITIES, stretched_44))


def test_an_extractor_ends_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"echo $$ > {shlex.quote(str(pid_file))}; sleep 600"
    caller = (
        "from pathlib import Path; from mmdata.execution.isolation import run_isolated, run_program\n"
        f"run_isolated(run_program, (['sh', '-c', {script!r}], Path({str(tmp_path / 'log')!r})), timeout_s=60)"
    )
    worker = subprocess.Popen([sys.executable, "-c", caller])
    while not (pid_file.exists() and pid_file.read_text().strip()):
        assert worker.poll() is None
        time.sleep(0.05)
    extractor = psutil.Process(int(pid_file.read_text()))
    worker.kill()
    worker.wait()
    extractor.wait(timeout=120)
