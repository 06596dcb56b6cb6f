"""What `mm predict --check FOLDER` prints: whether a bundle is whole, and predicts what it did where it was made."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mmcli.console import fail, report

if TYPE_CHECKING:
    from mmtrain.bundles.check import BundleCheck


def check_model(folder: Path, device: str, *, as_json: bool) -> None:
    """Check a bundle and tell what came out; exit with 1 where it is damaged or predicts something else.

    Parameters
    ----------
    device
        As ``--device`` takes it.
    """
    from mmtrain.bundles.check import check_bundle
    from mmtrain.device import choose_device

    check = check_bundle(folder, choose_device(device))
    report(as_json, _plain(check), list(_lines(check)))
    if check.damaged:
        fail(f"The bundle is damaged: {', '.join(check.damaged)}. Get another copy of it.")
    if not check.is_same:
        fail(
            "The model predicts something else here than where it was exported, so do not use it on this machine. Try "
            "the versions of the libraries that it was exported with, or --device cpu."
        )


def _lines(check: "BundleCheck") -> Iterator[str]:
    from mmtrain.bundles.golden import TOLERANCE

    allowed = f"largest difference from the golden outputs; {TOLERANCE:g} of the target's scale is allowed"
    for name, difference in check.differences.items():
        yield f"{name}: {difference:.1e} ({allowed})"
    for name, difference in check.onnx_differences.items():
        yield f"{name}, ONNX: {difference:.1e}"
    if check.onnx_note:
        yield check.onnx_note
    for name in dict.fromkeys((*check.there, *check.here)):
        there, here = check.there.get(name, "unknown"), check.here.get(name, "unknown")
        if there != here:
            yield f"{name}: {there} where it was exported, {here} here"
    if check.is_same:
        yield "The bundle is whole, and its model predicts the same here."


def _plain(check: "BundleCheck") -> dict[str, object]:
    """Return a check as JSON has it: no infinity."""

    def finite(differences: object) -> dict[str, float | None]:
        assert isinstance(differences, dict)
        return {name: value if math.isfinite(value) else None for name, value in differences.items()}

    return {
        "same": check.is_same,
        "damaged": list(check.damaged),
        "differences": finite(check.differences),
        "onnx_differences": finite(check.onnx_differences),
        "onnx_note": check.onnx_note,
        "exported_with": dict(check.there),
        "here": dict(check.here),
    }
