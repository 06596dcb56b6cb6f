"""Where a model lies, by what the user calls it: a run of the study, a model kept in it, or the folder of a bundle.

Nothing here loads PyTorch, so that a name which is mistaken is told at once.
"""

from dataclasses import dataclass
from pathlib import Path

from mmbase.suggestion import did_you_mean
from mmdata.store.schema import StudyLayout
from mmdata.study import Study
from mmstudy.runs.folders import find_run_of_study, study_runs
from mmtrain.bundle import BundleDirectory
from mmtrain.errors import TrainError


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelPlace:
    """A model that is there; whether it can be used is not known yet."""

    name: str
    path: Path
    """The run's or the bundle's directory."""
    is_run: bool
    """Whether it is a run of the study."""


def locate_model(study: Study | None, name: str) -> ModelPlace:
    """Return where a model lies.

    Parameters
    ----------
    study
        None: there is none, and only bundles can be found.
    name
        A run of the study, a model in its folder models, or the folder of a bundle.

    Raises
    ------
    TrainError
        There is none of this name, or it cannot be reached.
    """
    if study is not None and name in _run_ids(study.layout):
        run, _ = find_run_of_study(study.layout, name)
        return ModelPlace(name=name, path=run.path, is_run=True)
    kept = [] if study is None or Path(name).name != name else [study.layout.models / name]
    for path in (*kept, Path(name).expanduser()):
        if BundleDirectory(path).model_card.is_file():
            return ModelPlace(name=path.resolve().name, path=path, is_run=False)
    raise TrainError(
        f"There is no model {name!r}: no run of the study, no model that was imported, and no folder of a bundle."
        f"{did_you_mean(name, [] if study is None else _names_in_study(study.layout))}",
        "mm runs lists the runs. A bundle is a folder with a model.json.",
    )


def _run_ids(layout: StudyLayout) -> list[str]:
    runs = study_runs(layout)
    return [run.run_id for run in (*runs.reachable, *runs.unreachable)]


def _names_in_study(layout: StudyLayout) -> list[str]:
    """Return what the study's models are called: its runs, and those that it keeps."""
    kept = sorted(path.name for path in layout.models.glob("*") if BundleDirectory(path).model_card.is_file())
    return [*_run_ids(layout), *kept]
