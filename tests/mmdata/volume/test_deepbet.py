"""deepbet behind its adapter: a stand-in for what the adapter promises, the package itself for what it finds."""

import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch

from mmdata.errors import CapacityError, ScanRejected, StudyError
from mmdata.synth.drawing import draw_visit
from mmdata.synth.head import with_head
from mmdata.synth.plan import Visit
from mmdata.volume import deepbet
from mmdata.volume.nifti import Volume

AFFINE_44 = np.array([[-2.0, 0, 0, 30], [0, 2, 0, -30], [0, 0, 2, -30], [0, 0, 0, 1]])
HEAD = Volume(np.random.default_rng(3).integers(1, 900, (20, 24, 22)).astype(np.int16), AFFINE_44)
BRAIN = HEAD.data_XYZ > 300
Run = Callable[[nib.Nifti1Image], np.ndarray]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Run], list[bool]]]:
    """Have a function take the place of the network; return what each network that is loaded is told of GPUs."""

    def install(run: Run) -> list[bool]:
        loaded: list[bool] = []

        class BrainExtraction:
            def __init__(self, *, no_gpu: bool) -> None:
                loaded.append(no_gpu)

            def run(self, image: nib.Nifti1Image) -> tuple[None, nib.Nifti1Image, float]:
                return None, nib.Nifti1Image(run(image).astype(np.uint8), image.affine), 0.0

        monkeypatch.setitem(sys.modules, "deepbet", SimpleNamespace(BrainExtraction=BrainExtraction, __spec__=object()))
        return loaded

    deepbet._network.cache_clear()
    yield install
    deepbet._network.cache_clear()


def test_one_network_is_loaded_however_many_scans_a_process_reads(stand_in: Callable[[Run], list[bool]]) -> None:
    loaded = stand_in(lambda image: image.get_fdata() > 300)
    for _ in range(3):
        np.testing.assert_array_equal(deepbet.find_brain(HEAD), BRAIN)
    assert loaded == [not torch.cuda.is_available()]


def test_the_network_runs_on_one_thread_and_the_callers_number_comes_back(
    stand_in: Callable[[Run], list[bool]],
) -> None:
    seen = []

    def run(image: nib.Nifti1Image) -> np.ndarray:
        seen.append(torch.get_num_threads())
        raise ValueError("attempt to get argmax of an empty sequence")

    stand_in(run)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(ScanRejected):
            deepbet.find_brain(HEAD)
        assert (seen, torch.get_num_threads()) == ([1], 3)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("error", [AssertionError("Not enough foreground"), ValueError("empty")])
def test_an_image_without_a_brain_is_rejected(stand_in: Callable[[Run], list[bool]], error: Exception) -> None:
    def run(image: nib.Nifti1Image) -> np.ndarray:
        raise error

    stand_in(run)
    with pytest.raises(ScanRejected, match="finds no brain") as caught:
        deepbet.find_brain(HEAD)
    assert caught.value.reason == "extractor-failed"


def test_a_gpu_without_memory_stops_the_ingest_and_costs_no_scan(stand_in: Callable[[Run], list[bool]]) -> None:
    def run(image: nib.Nifti1Image) -> np.ndarray:
        raise torch.OutOfMemoryError("CUDA out of memory")

    stand_in(run)
    with pytest.raises(CapacityError, match="fewer --workers"):
        deepbet.find_brain(HEAD)


def test_where_it_is_not_installed_the_remedy_is_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepbet, "find_spec", lambda name: None)
    for call in (deepbet.require_deepbet, deepbet.deepbet_version):
        with pytest.raises(StudyError, match=r"pip install 'megamodeller\[brain\]'"):
            call()


def test_deepbet_finds_the_brain_of_a_synthetic_head() -> None:
    pytest.importorskip("deepbet", reason="deepbet is not installed: pip install 'megamodeller[brain]'")
    drawn = draw_visit(Visit(index=0, instance=2, fields=("20252",)), seed=7, voxel_mm=2.0)
    scan = drawn.scans["t1"]
    head = with_head(scan.images["T1"], scan.is_brain, scan.pose.affine_44, np.random.default_rng(5))
    found = deepbet.find_brain(Volume(head, scan.pose.affine_44))
    assert 2 * (found & scan.is_brain).sum() / (found.sum() + scan.is_brain.sum()) >= 0.97
