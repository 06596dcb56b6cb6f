"""`mm privacy`: whether a run gives away whom it was trained on, and what follows from all exports together."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmcli.console import report, say, show_progress
from mmcli.options import JsonOption, study_of
from mmtrain.config.execution import DEVICE_NAMES

if TYPE_CHECKING:
    from mmdata.study import Study
    from mmstudy.privacy.attack_run import AttackedRun


def privacy(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="Name of the run, as mm runs shows it.")] = None,
    exports: Annotated[
        bool,
        typer.Option(
            "--exports", help="Check all bundles and reports of this study that were exported so far instead."
        ),
    ] = False,
    device: Annotated[
        str,
        typer.Option(
            metavar=DEVICE_NAMES,
            help="Where to predict training samples, of a run that kept none; auto: on a GPU where there is one.",
        ),
    ] = "auto",
    as_json: JsonOption = False,
) -> None:
    """See whether a run gives away whom it was trained on.

    What is found is of all people together. It is kept with the run, and stands in its page and its bundle.

    \b
    mm privacy RUN           can the people it was trained on be told from others?
    mm privacy --exports     can single people be worked out from what was exported so far?
    """  # noqa: D301 - click wants the control character itself
    from mmstudy.runs.folders import find_run_of_study
    from mmtrain.config.execution import require_device_name

    study = study_of(context)
    if (run is None) is not exports:
        raise typer.BadParameter("or --exports is needed, and not both", param_hint="RUN")
    if run is None:
        _check_exports(study, as_json=as_json)
        return
    require_device_name(device)
    directory, _ = find_run_of_study(study.layout, run)  # before PyTorch is loaded, which takes seconds
    if directory.metrics.exists() and not directory.training_predictions.exists():
        say(f"Run {run} did not keep predictions of its training samples: they are made from its weights now.")
    from mmstudy.privacy.attack_run import attack_run
    from mmtrain.page.live import try_page

    attacked = attack_run(study, run, device, show_progress)
    has_page = try_page(directory, "finished", say)
    content = {"run_id": run, "level": attacked.privacy.level, **_plain(attacked)}
    where = [f"The page of the run has it too: {directory.report}"] if has_page else []
    report(as_json, content, [*_lines(attacked), *where])


def _check_exports(study: "Study", *, as_json: bool) -> None:
    from dataclasses import asdict

    from mmstudy.privacy.disclosure import check_summaries
    from mmstudy.privacy.wording import finding_lines

    found = check_summaries(study)
    report(as_json, {"findings": [asdict(finding) for finding in found]}, finding_lines(found))


def _plain(attacked: "AttackedRun") -> dict[str, Any]:
    from dataclasses import asdict

    targets = [{**asdict(target), "level": target.level} for target in attacked.privacy.targets]
    return {"predicted_again": attacked.was_predicted_again, "targets": targets}


def _lines(attacked: "AttackedRun") -> list[Any]:
    from mmbase.plain_table import plain_table
    from mmtrain.privacy.finding import REMEDIES, short_verdict_of
    from mmtrain.privacy.tables import TITLES, attack_rows

    lines: list[Any] = []
    for target in attacked.privacy.targets:
        if target.attacks:
            lines.append(plain_table(TITLES, attack_rows(target), whole=TITLES[:2]))
        lines += [short_verdict_of(target), REMEDIES[target.level], *target.notes]
    return lines
