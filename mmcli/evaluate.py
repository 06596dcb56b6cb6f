"""`mm evaluate`: measure a finished run again, as it is or from every subset of its inputs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mmcli.console import report, show_progress
from mmcli.options import JsonOption, OverwriteOption, study_of
from mmtrain.config.execution import DEVICE_NAMES

if TYPE_CHECKING:
    from mmdata.study import Study

CSV_SUFFIX = ".csv"


def evaluate(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Name of the run, as mm runs shows it.")],
    inputs_subsets: Annotated[
        bool,
        typer.Option(
            "--inputs-subsets",
            help="The score from every subset of its inputs; of a run that was trained with --modality-dropout.",
        ),
    ] = False,
    split: Annotated[
        Literal["test", "val"] | None,
        typer.Option(
            help="With --inputs-subsets, whose score: choose among subsets on val, report on test. [default: test]"
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="With --inputs-subsets: write every metric of every subset to this file.")
    ] = None,
    overwrite: OverwriteOption = False,
    device: Annotated[
        str, typer.Option(metavar=DEVICE_NAMES, help="Where to compute; auto: on a GPU where there is one.")
    ] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure a finished run again, or from fewer of its inputs.

    Reads its weights and the study's stores, and changes nothing.

    \b
    mm evaluate RUN                       the run's metrics, as they were and as they come out here
    mm evaluate RUN --inputs-subsets      what one model comes to from each subset of its inputs
    """  # noqa: D301 - click wants the control character itself
    from mmstudy.runs.folders import find_run_of_study
    from mmtrain.config.execution import require_device_name

    study = study_of(context)
    require_device_name(device)
    find_run_of_study(study.layout, run)  # before PyTorch is loaded, which takes seconds
    if inputs_subsets:
        _score_subsets(study, run, split or "test", device, csv, overwrite=overwrite, as_json=as_json)
        return
    given = {"--split": split, "--csv": csv, "--overwrite": overwrite or None}
    if wrong := [option for option, value in given.items() if value is not None]:
        raise typer.BadParameter("goes with --inputs-subsets", param_hint=wrong)
    from mmstudy.evaluate.again import measure_again
    from mmstudy.evaluate.tables import again_line, again_table, plain_again

    found = measure_again(study, run, device, show_progress)
    content = {"run_id": run, "targets": [plain_again(again) for again in found]}
    report(as_json, content, [line for again in found for line in (again_table(again), again_line(again))])


def _score_subsets(
    study: "Study", run: str, split: str, device: str, csv: Path | None, *, overwrite: bool, as_json: bool
) -> None:
    from mmstudy.evaluate.subsets import score_subsets
    from mmstudy.evaluate.tables import plain_subsets, subsets_csv, subsets_lines, subsets_table

    if csv is not None:
        from catalog.export.files import require_writable

        require_writable(csv, [CSV_SUFFIX], overwrite=overwrite)
    found = score_subsets(study, run, split, device, show_progress)
    content: dict[str, Any] = {"run_id": run, "targets": [plain_subsets(of_target) for of_target in found]}
    lines: list[Any] = [line for of_target in found for line in (subsets_table(of_target), *subsets_lines(of_target))]
    if csv is not None:
        from mmbase.files import SHARED_MODE, write_bytes

        write_bytes(csv, subsets_csv(found).encode(), mode=SHARED_MODE)
        content["file"] = str(csv)
        lines = [f"Wrote {csv}."]
    report(as_json, content, lines)
