"""`mm selftest`: see whether training works on this machine."""

from typing import Annotated

import typer

from mmcli.console import fail, report, show_progress
from mmcli.options import JsonOption
from mmtrain.config.execution import DEVICE_NAMES


def selftest(
    device: Annotated[
        str, typer.Option(metavar=DEVICE_NAMES, help="Where to compute; auto: on a GPU where there is one.")
    ] = "auto",
    as_json: JsonOption = False,
) -> None:
    """See whether training works on this machine; needs no study.

    Trains a tiny network on every kind of input and target. Each input shows nothing but the label, which a network
    that is wired up rightly finds. All that is made lies in a temporary folder and is removed.
    """
    from mmtrain.device import choose_device
    from mmtrain.selftest import describe_machine, result_table, run_selftest
    from mmtrain.stopping import TrainingStopped

    machine = describe_machine(choose_device(device))
    try:
        with show_progress("networks") as on_progress:
            results = run_selftest(device, on_progress)
    except TrainingStopped:
        fail("Interrupted. Nothing is left of the test.")
    failed = [result for result in results if not result.verdict.ok]
    content = {"ok": not failed, "machine": machine, "results": [result.to_json() for result in results]}
    versions = ", ".join(f"{name} {version}" for name, version in machine.items() if name != "device")
    report(as_json, content, [f"Computed on {machine['device']}; {versions}.", result_table(results)])
    if failed:
        fail(
            f"{len(failed)} of {len(results)} labels were not found. Run it again with --device cpu: if all are found "
            "there, the GPU, its driver or PyTorch's build for it is at fault, else this installation."
        )
