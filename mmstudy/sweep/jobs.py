"""The runs that a sweep makes: which of them serves which cells.

A job is one run. Methods share jobs where these are the same: a cell without volumes has nothing to freeze.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from mmbase.names import VOLUME_MODALITIES
from mmstudy.sweep.cells import Cell
from mmstudy.sweep.settings import BASELINE_METHOD, FROZEN_METHOD, SweepSettings
from mmtrain.config.model import ModelConfig
from mmtrain.errors import TrainError

FUSION = ModelConfig().model
MAX_NAME_BYTES = 230
"""Of a job; a file's name has 255 at most, its ending and that of a draft among them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One run that is to be made."""

    name: str
    """The same whenever the same sweep is planned; a file's name too."""
    targets: tuple[str, ...]
    inputs: tuple[str, ...]
    blocks: tuple[str, ...] = ()
    network: str = FUSION
    seed: int
    fold: int = 0
    """From 1, of the sweep's folds; 0: the study's own split."""
    trunk: str = ""
    """Job whose imaging network this one's head is trained on."""
    serves: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Method to the names of the cells that the run is a model of; none of a trunk."""
    participants: Mapping[str, str] = field(default_factory=dict)
    """Target to the hash of who is in which split, as it was planned."""

    @property
    def volumes(self) -> tuple[str, ...]:
        """Return the volumes among its inputs."""
        return tuple(name for name in self.inputs if name in VOLUME_MODALITIES)


@dataclass(frozen=True, slots=True)
class _Part:
    """One seed and one way to split the participants."""

    seed: int
    fold: int

    def named(self, kind: str, what: str) -> str:
        """Return the name of a job of this part."""
        return f"{kind}_{what}_seed{self.seed}" + (f"_fold{self.fold}" if self.fold else "")


def make_jobs(cells: Sequence[Cell], domains: Mapping[str, str], settings: SweepSettings) -> list[Job]:
    """Return the jobs of a sweep, trunks before what needs them, each once.

    Parameters
    ----------
    cells
        Those that can be trained.
    domains
        Target to its domain; targets of one domain share a network of the method shared.
    """
    folds = range(1, settings.folds + 1) if settings.folds else (0,)
    jobs: dict[str, Job] = {}
    for seed, fold in product(settings.seeds, folds):
        for job in _of_one_part(cells, domains, settings, _Part(seed, fold)):
            there = jobs.get(job.name)
            jobs[job.name] = job if there is None else replace(there, serves={**there.serves, **job.serves})
    return list(jobs.values())


def _of_one_part(
    cells: Sequence[Cell], domains: Mapping[str, str], settings: SweepSettings, part: _Part
) -> Iterator[Job]:
    if FROZEN_METHOD in settings.methods:
        yield from _trunks(cells, part)
    for method in settings.methods:
        if method == "separate":
            for network in settings.networks:
                yield from (_separate(cell, network, method, part) for cell in cells)
        elif method == "shared":
            yield from _shared(cells, domains, part)
        else:
            yield from (_frozen(cell, part) for cell in cells)
    for network in settings.baselines:
        yield from (_separate(cell, network, BASELINE_METHOD, part) for cell in cells)


def _separate(cell: Cell, network: str, method: str, part: _Part) -> Job:
    return Job(
        name=part.named(network, cell.name),
        targets=(cell.target,),
        inputs=cell.inputs,
        blocks=cell.blocks,
        network=network,
        seed=part.seed,
        fold=part.fold,
        serves={method: (cell.name,)},
    )


def _shared(cells: Sequence[Cell], domains: Mapping[str, str], part: _Part) -> Iterator[Job]:
    groups: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((domains[cell.target], cell.inputs, cell.blocks), []).append(cell)
    for (domain, inputs, blocks), of_group in groups.items():
        yield Job(
            name=part.named("shared", Cell(target=domain, inputs=inputs, blocks=blocks).name),
            targets=tuple(cell.target for cell in of_group),
            inputs=inputs,
            blocks=blocks,
            seed=part.seed,
            fold=part.fold,
            serves={"shared": tuple(cell.name for cell in of_group)},
        )


def _trunks(cells: Sequence[Cell], part: _Part) -> Iterator[Job]:
    targets = tuple(dict.fromkeys(cell.target for cell in cells))
    for volumes in dict.fromkeys(_volumes_of(cell.inputs) for cell in cells):
        if volumes:
            yield Job(name=_trunk(volumes, part), targets=targets, inputs=volumes, seed=part.seed, fold=part.fold)


def _frozen(cell: Cell, part: _Part) -> Job:
    volumes = _volumes_of(cell.inputs)
    job = _separate(cell, FUSION, FROZEN_METHOD, part)
    # without volumes there is nothing to freeze: the separate network is the same
    return replace(job, name=part.named("frozen", cell.name), trunk=_trunk(volumes, part)) if volumes else job


def _trunk(volumes: tuple[str, ...], part: _Part) -> str:
    return part.named("trunk", "-".join(volumes))


def _volumes_of(inputs: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in inputs if name in VOLUME_MODALITIES)


def require_short_names(jobs: Sequence[Job]) -> None:
    """Refuse names of jobs that no file can have.

    Raises
    ------
    TrainError
        Names the targets of one.
    """
    for job in jobs:
        if len(job.name.encode()) > MAX_NAME_BYTES:
            raise TrainError(
                f"The names of target, inputs and groups of a model of {', '.join(job.targets[:3])} have more than "
                f"{MAX_NAME_BYTES} bytes together, too many for a file's name.",
                "Shorten the names of features or groups in study.toml.",
            )
