"""Plan a sweep. Nothing is written."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from catalog.database import open_catalog
from catalog.fields import Dictionary, find_target
from mmbase.names import INPUTS, METADATA, VOLUME_MODALITIES
from mmdata.ledger.receipts import read_made_copies
from mmdata.study import Study
from mmstudy.dictionary import study_dictionary
from mmstudy.runs.defaults import applicable_defaults
from mmstudy.sweep.cells import Cell
from mmstudy.sweep.grid import own_cells, parse_input_set, reference_cells, reference_targets
from mmstudy.sweep.jobs import Job, make_jobs, require_short_names
from mmstudy.sweep.plan import PlannedCell, Population, SweepPlan, scheme_of
from mmstudy.sweep.population import Populations, missing_reason, stored_counts
from mmstudy.sweep.settings import OF_CELLS, SweepSettings, settings_of_all
from mmtrain.config.changes import EXECUTION
from mmtrain.config.optimisation import OptimisationConfig
from mmtrain.errors import TrainError
from mmtrain.models.registry import load_architecture

BALANCE = "weight"
"""Of binary targets, unless the sweep is asked for another: drawing cannot serve a network of several targets."""
_OWN_BLOCK = "The model would see the group of features that the target belongs to."


def plan_sweep(study: Study, settings: SweepSettings) -> SweepPlan:
    """Return the plan of a sweep.

    Raises
    ------
    CatalogError, DataError, TrainError
        A setting is wrong, or the catalogue cannot be read.
    """
    dictionary = study_dictionary(study)
    targets = settings.targets or tuple(reference_targets(dictionary))
    cells = _cells(dictionary, targets, settings)
    with open_catalog(study.layout.catalog) as catalog:
        stored = stored_counts(catalog)
        required = () if settings.each_its_own else _required(cells, stored)
        seeds = settings.seeds or (study.config.train.get("seed", OptimisationConfig().seed),)
        settings = settings.changed(train=_shared_settings(study, cells, stored, settings), seeds=seeds)
        populations = Populations(catalog=catalog, dictionary=dictionary, data_size=settings.train.get("data_size"))
        planned = _plan_cells(populations, cells, stored, required, settings)
        jobs = _plan_jobs(populations, planned, required, settings)
    takes = {name: set(load_architecture(name).inputs) for name in {job.network for job in jobs}}
    possible = [job for job in jobs if takes[job.network].issuperset(job.inputs)]
    require_short_names(possible)
    return SweepPlan(
        settings=settings,
        cells=tuple(planned),
        jobs=tuple(possible),
        required_inputs=required,
        notes=tuple(_notes(jobs, possible)),
    )


def _cells(dictionary: Dictionary, targets: Sequence[str], settings: SweepSettings) -> list[Cell]:
    if not settings.input_sets:
        return reference_cells(dictionary, targets)
    sets = [parse_input_set(dictionary, words) for words in settings.input_sets]
    return own_cells(dictionary, targets, list(dict.fromkeys(sets)))


def _required(cells: Sequence[Cell], stored: Mapping[str, int]) -> tuple[str, ...]:
    """Return what any cell reads, of what the study has stored at all."""
    asked = {name for cell in cells for name in cell.volumes_and_connectivity}
    return tuple(name for name in INPUTS if name in asked and name in stored)


def _plan_cells(
    populations: Populations,
    cells: Sequence[Cell],
    stored: Mapping[str, int],
    required: Sequence[str],
    settings: SweepSettings,
) -> list[PlannedCell]:
    dictionary, scheme = populations.dictionary, scheme_of(settings, min(settings.folds, 1))

    def population_of(cell: Cell) -> Population:
        if reason := missing_reason(cell.volumes_and_connectivity, stored):
            return Population(reason=reason)
        if dictionary[cell.target].block in cell.blocks:
            return Population(reason=_OWN_BLOCK)
        needed = cell.volumes_and_connectivity if settings.each_its_own else required
        return populations.of([cell.target], needed, scheme)

    return [
        PlannedCell(
            cell=cell,
            domain=dictionary[cell.target].block,
            kind=find_target(dictionary, cell.target).kind,
            population=population_of(cell),
        )
        for cell in cells
    ]


def _plan_jobs(
    populations: Populations, planned: Sequence[PlannedCell], required: Sequence[str], settings: SweepSettings
) -> list[Job]:
    """Return the jobs of the cells that can be trained, each with who it is to be trained on.

    Raises
    ------
    TrainError
        The targets of a shared network would not have the samples that they have by themselves.
    """
    trainable = [of.cell for of in planned if of.can_be_trained]
    jobs = []
    for job in make_jobs(trainable, {of.cell.target: of.domain for of in planned}, settings):
        needed = [name for name in job.inputs if name != METADATA] if settings.each_its_own else required
        scheme = scheme_of(settings, job.fold)
        participants = populations.of(job.targets, needed, scheme).participants
        if "shared" in job.serves and len(job.targets) > 1:
            alone = {name: populations.of([name], needed, scheme).participants.get(name) for name in job.targets}
            _require_shareable(participants, alone)
        jobs.append(replace(job, participants=participants))
    return jobs


def _require_shareable(together: Mapping[str, str], alone: Mapping[str, str | None]) -> None:
    """Refuse a shared network whose targets would not have the samples that they have by themselves.

    Relatives in different splits can do that: a tested person who has one target alone keeps a relative from being
    trained on for all.
    """
    if differing := [name for name, own in alone.items() if together.get(name) != own]:
        raise TrainError(
            f"One network for {', '.join(alone)} would not have the samples that networks of {', '.join(differing)} "
            "have alone: relatives are in different splits.",
            "Leave the method shared out.",
        )


def _shared_settings(
    study: Study, cells: Sequence[Cell], stored: Mapping[str, int], settings: SweepSettings
) -> dict[str, Any]:
    """Return the settings of runs that all cells share, the study's own among them.

    Every cell reads as many augmented copies as there are of all volumes, so that none is augmented more than another.
    """
    from_study = applicable_defaults(study, settings.train)
    shared = {name: value for name, value in from_study.items() if name not in (*OF_CELLS, *EXECUTION)}
    shared |= {"balance": BALANCE, **settings.train}
    config = settings_of_all(shared)
    if not config.augmentation.reads_copies or config.augmentation.copies is not None:
        return shared
    made, side = read_made_copies(study.layout.receipts), config.data.side
    volumes = {name for cell in cells for name in cell.inputs if name in VOLUME_MODALITIES and name in stored}
    return shared | {"copies": min((made.get((name, side), 0) for name in volumes), default=0)}


def _notes(jobs: Sequence[Job], possible: Sequence[Job]) -> list[str]:
    if len(jobs) == len(possible):
        return []
    networks = sorted({job.network for job in jobs if job not in possible})
    return [f"{len(jobs) - len(possible)} models are left out: {', '.join(networks)} cannot take their inputs"]
