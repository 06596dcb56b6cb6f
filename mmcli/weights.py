"""`mm weights`: the reference study's published checkpoints, looked at, imported as models, and written again."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mmcli.console import report
from mmcli.options import JsonOption, OverwriteOption, study_at_hand, study_of

app = typer.Typer(no_args_is_help=True, help="Look at published weights, import them, write them.")
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A published checkpoint.")]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A run, an imported model, or a bundle's folder.")]


@app.command()
def show(
    context: typer.Context,
    weights: Annotated[str, typer.Argument(metavar="FILE|MODEL", help="A published checkpoint, or a model.")],
    as_json: JsonOption = False,
) -> None:
    """Show what weights were trained on, and what is assumed of a model that was imported.

    A file is only read: nothing that it asks for is run.
    """
    from mmstudy.models.find import find_model
    from mmstudy.models.published_export import SUFFIXES
    from mmstudy.models.weights_facts import facts_of_checkpoint, facts_of_model, facts_tables

    path = Path(weights).expanduser()
    is_file = (path.exists() or path.suffix in SUFFIXES) and not path.is_dir()
    facts = facts_of_checkpoint(path) if is_file else facts_of_model(find_model(study_at_hand(context), weights))
    report(as_json, asdict(facts), facts_tables(facts))


@app.command(name="import")
def import_weights(
    context: typer.Context,
    file: FileArgument,
    name: Annotated[
        str, typer.Option("--as", help="Name of the model in the study, or a folder with a / in it, e.g. ./age.")
    ],
    target: Annotated[str, typer.Option(help="What the checkpoint predicts: a name that mm targets lists.")],
    inputs: Annotated[
        str | None,
        typer.Option(help="What it was trained on, e.g. flair,t1; left out: as the weights say, if they say clearly."),
    ] = None,
    target_range: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH",
            help="0.5th and 99.5th percentile of the target in training, in its own unit; left out: not known, and "
            "predictions stay on the scale from -1 to 1.",
        ),
    ] = None,
    metadata_names: Annotated[
        str | None,
        typer.Option(help="Names of the columns of metadata in their order; left out: the order of the dashboard."),
    ] = None,
    metadata_block: Annotated[
        list[str] | None, typer.Option(help="Group of columns that was shown to the model; repeatable.")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a model of a published checkpoint, with what it takes for granted.

    A file is only read: nothing that it asks for is run.
    """
    from catalog.fields import load_dictionary
    from mmstudy.dictionary import study_dictionary
    from mmstudy.models.published import folder_in_study, import_checkpoint
    from mmstudy.models.published_card import Stated

    study = study_at_hand(context) if "/" in name else study_of(context)
    stated = Stated(
        target=target,
        inputs=_names(inputs),
        metadata_names=_names(metadata_names),
        metadata_blocks=tuple(metadata_block or ()),
        target_range=target_range,
    )
    where = Path(name).expanduser() if study is None or "/" in name else folder_in_study(study, name)
    dictionary = load_dictionary() if study is None else study_dictionary(study)
    imported = import_checkpoint(file.expanduser(), where, stated, dictionary, overwrite=overwrite)
    card, assumed = imported.card, imported.contract.assumed
    lines = [
        f"Made the model {where.name}: {target} ({card.targets[0].unit}) from {', '.join(card.inputs)}.",
        "What is not published, and is assumed:",
        *(f"- {sentence}" for sentence in assumed.values()),
    ]
    content = {"model": where.name, "path": str(where), "target": target, "inputs": list(card.inputs)}
    report(as_json, content | {"unit": card.targets[0].unit, "assumed": dict(assumed)}, lines)


@app.command()
def export(
    context: typer.Context,
    model: ModelArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE.pt", help="The checkpoint to write.")],
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a model in the form of the published checkpoints: one that was imported, or a run of the network fusion."""
    from mmstudy.models.place import locate_model

    study = study_at_hand(context)
    locate_model(study, model)  # before PyTorch is loaded, which takes seconds
    from mmstudy.models.find import find_model
    from mmstudy.models.published_export import export_checkpoint, export_run

    found = find_model(study, model)
    path = file.expanduser()
    if found.is_run and study is not None:
        checkpoint = export_run(study, found, path, overwrite=overwrite)
    else:
        checkpoint = export_checkpoint(found, path, overwrite=overwrite)
    content: dict[str, Any] = {"model": found.name, "file": str(file), "tensors": len(checkpoint.tensors)}
    report(as_json, content, [f"Wrote {file}: {len(checkpoint.tensors)} tensors of {found.name}."])


def _names(text: str | None) -> tuple[str, ...] | None:
    """Return names that are separated by commas or plus signs."""
    return None if text is None else tuple(name.strip() for name in text.replace("+", ",").split(","))
