"""The script for a machine that is lent for its GPU runs through on a processor, with tiny shapes."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.cohort import MadeCohort, make_cohort
from benchmarks.device import answer_in_time, main
from benchmarks.device_checks import compare_augmentation, compare_losses, compare_resumed, losses_of
from benchmarks.device_parts import PARTS, small_scale
from benchmarks.kernels import by_kind, kind_of

SCALE = small_scale("cpu")
FIVE_MINUTES = 300


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> MadeCohort:
    plan = SCALE.checked
    return make_cohort(tmp_path_factory.mktemp("device") / "study", plan.side, plan.num_rows, copies=plan.copies)


def never_ends() -> Iterator[tuple[str, Any]]:
    while True:
        time.sleep(1)
        yield "still there", True


def fails() -> Iterator[tuple[str, Any]]:
    yield "rate", 12.5
    raise RuntimeError("the device is gone")


def test_the_parts_by_default_cannot_take_longer_than_five_minutes() -> None:
    assert sum(part.limit_s for part in PARTS.values() if part.is_default) <= FIVE_MINUTES
    assert next(iter(PARTS)) == "correctness"


def test_a_part_is_measured_and_its_findings_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PARTS, "kernels", replace(PARTS["kernels"], limit_s=FIVE_MINUTES))  # a machine may be busy
    main(["--small", "--device", "cpu", str(tmp_path), "kernels"])
    found = json.loads((tmp_path / "device.json").read_text())
    assert found["machine"]["torch"] and found["machine"]["device"] == "cpu"
    (part,) = found["parts"].values()
    assert part["ms_per_step"]["convolution"] > 0, part


def test_a_part_that_fails_keeps_what_it_has_found() -> None:
    found = dict(answer_in_time(fails, FIVE_MINUTES))
    assert found["rate"] == 12.5
    assert "the device is gone" in found["failed"]


def test_a_part_is_stopped_at_its_limit() -> None:
    assert dict(answer_in_time(never_ends, 0)) == {"stopped_at_limit": True}


@pytest.mark.parametrize("words", [["nowhere", "speed"], ["nowhere", "--device", "cpu"]])
def test_unknown_parts_and_a_missing_gpu_are_refused_before_anything_is_measured(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "There is no" in capsys.readouterr().err


def test_a_killed_run_that_is_resumed_is_found_to_be_as_it_should(cohort: MadeCohort) -> None:
    found = compare_resumed(cohort, SCALE.checked.settings)
    assert found["ok"], found


def test_losses_are_compared_with_those_of_a_processor_in_float32(cohort: MadeCohort) -> None:
    settings = SCALE.checked.settings
    expected = losses_of(cohort, settings, device="cpu", precision="float32")
    assert compare_losses(cohort, settings, expected, "float32")["relative_differences"] == [0.0] * len(expected)
    wrong = [2 * loss for loss in expected]
    assert not compare_losses(cohort, settings, wrong, "auto")["ok"]


def test_augmentation_that_differs_on_the_device_is_found(cohort: MadeCohort, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compare_augmentation(cohort, SCALE.checked.settings)["ok"]
    monkeypatch.setattr("benchmarks.device_checks.augment_channels", lambda volumes, *_: torch.randn_like(volumes))
    assert not compare_augmentation(cohort, SCALE.checked.settings)["ok"]


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("sm80_xmma_wgrad_implicit_gemm_indexed_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize128x128x32", "convolution"),
        ("void cudnn::ops::nchwToNhwcKernel<__nv_bfloat16, float>", "convolution"),
        ("void cudnn::bn_bw_1C11_kernel_new<__nv_bfloat16, float>", "batch norm"),
        ("void at::native::vectorized_elementwise_kernel<4, GeluCUDAKernelImpl>", "activation"),
        ("void at::native::max_pool3d_with_indices_single_out_frame", "pooling"),
        ("void at::native::multi_tensor_apply_kernel<FusedAdamMathFunctor>", "optimiser"),
        ("Memcpy DtoD (Device -> Device)", "copies"),
        ("nvjet_tst_128x64_64x8_1x2_h_bz_TNT_cutlass", "matrix product"),
        ("void at::native::reduce_kernel<512, 1, sum_functor>", "sums"),
        ("triton_poi_fused_add_gelu_0", "fused code"),
        ("something_of_tomorrow", "others"),
    ],
)
def test_kernels_have_the_kind_that_their_names_tell(kernel: str, kind: str) -> None:
    assert kind_of(kernel) == kind


def test_kinds_add_up_to_what_their_kernels_took() -> None:
    assert by_kind({"triton_a": 1.0, "aten::gelu": 4.0, "triton_b": 2.0}) == {"activation": 4.0, "fused code": 3.0}


TRAIN_WITH_WHAT_IS_NAMED = """
import importlib.metadata as metadata
import re
import sys
from pathlib import Path

folder, *named = sys.argv[1:]


def plain(name):
    return re.sub("[-_.]+", "-", name).lower()


def with_what_they_need(names):
    found = {*names}
    for name in names:
        needs = metadata.requires(name) or [] if name in there else []
        found |= with_what_they_need({plain(re.match("[-_.a-zA-Z0-9]+", need)[0]) for need in needs if ";" not in need})
    return found


there = {plain(found.name) for found in metadata.distributions()}
allowed = with_what_they_need({"torch"}) | {*named}
LACKING = {
    module
    for module, packages in metadata.packages_distributions().items()
    if not allowed & {*map(plain, packages)} and not any(Path(module).with_suffix(end).exists() for end in ("", ".py"))
}


class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in LACKING else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)


def version(name, of_installed=metadata.version):
    if plain(name) not in allowed:
        raise metadata.PackageNotFoundError(name)
    return of_installed(name)


sys.meta_path[:] = map(Without, sys.meta_path)
metadata.version = version
import benchmarks.device
import benchmarks.rank
import benchmarks.until_step
from benchmarks.cohort import make_cohort
from benchmarks.device_checks import train_run

assert {"duckdb", "nibabel", "matplotlib", "typer"} <= LACKING
cohort = make_cohort(Path(folder), 8, 12)
train_run(cohort, {"channels": (4, 4), "batch_size": 4, "device": "cpu", "epochs": 1, "augment": "on-device"})
"""


def test_a_bare_checkout_trains_with_the_packages_that_the_script_packs(tmp_path: Path) -> None:
    script = Path("benchmarks/device.sh").read_text()
    packed = re.search(r"^needed=\(([^)]*)\)", script, re.MULTILINE)
    assert packed is not None
    command = [sys.executable, "-c", TRAIN_WITH_WHAT_IS_NAMED, str(tmp_path / "study"), *packed[1].split()]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
