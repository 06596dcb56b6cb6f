"""The plan of a sweep on disk: what its workers, its status and its comparison go by."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmbase.files import write_json
from mmbase.json_text import Count, DamagedTextError, parse_content, read_json
from mmbase.version import VERSION
from mmstudy.sweep.cells import Cell
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.jobs import Job
from mmstudy.sweep.plan import PlannedCell, SweepPlan
from mmstudy.sweep.population import Population
from mmstudy.sweep.settings import parse_sweep_settings
from mmtrain.errors import TrainError

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Stored:
    """What plan.json holds."""

    schema_version: Count
    settings: dict[str, Any]
    cells: list[dict[str, Any]]
    jobs: list[dict[str, Any]]
    required_inputs: tuple[str, ...]
    accepted: tuple[str, ...]
    mm: str = VERSION


@dataclass(frozen=True, kw_only=True, slots=True)
class _StoredCell:
    """One of its cells."""

    target: str
    inputs: tuple[str, ...]
    blocks: tuple[str, ...]
    domain: str
    kind: str
    n: dict[str, int]
    participants: str
    reason: str


def write_plan(sweep: SweepDirectory, plan: SweepPlan, accepted: Sequence[str]) -> None:
    """Keep a plan.

    Parameters
    ----------
    accepted
        Codes of critical findings of the audit that the user accepts.
    """
    cells = [
        {
            **{name: getattr(of.cell, name) for name in ("target", "inputs", "blocks")},
            **{"domain": of.domain, "kind": of.kind, **asdict(of.population)},
        }
        for of in plan.cells
    ]
    stored = _Stored(
        SCHEMA_VERSION,
        plan.settings.to_json(),
        cells,
        [asdict(job) for job in plan.jobs],
        plan.required_inputs,
        tuple(accepted),
    )
    write_json(sweep.plan, asdict(stored))


def read_plan(sweep: SweepDirectory) -> tuple[SweepPlan, tuple[str, ...]]:
    """Return a sweep's plan, and the codes of findings that its user accepts.

    Raises
    ------
    TrainError
        It is damaged, or of a newer version of mm.
    """
    try:
        stored = read_json(sweep.plan, _Stored)
        if stored.schema_version > SCHEMA_VERSION:
            raise TrainError(
                f"The sweep {sweep.name} was planned by a newer mm ({stored.mm}; this is {VERSION}).", "Update mm."
            )
        return (
            SweepPlan(
                settings=parse_sweep_settings(stored.settings, sweep.plan.name),
                cells=tuple(map(_parse_cell, stored.cells)),
                jobs=tuple(parse_content(job, Job) for job in stored.jobs),
                required_inputs=stored.required_inputs,
            ),
            stored.accepted,
        )
    except (OSError, DamagedTextError) as error:
        raise TrainError(
            f"{sweep.plan.name} of the sweep {sweep.name} cannot be read: {error}.",
            "Plan it again: its finished runs stay. Give mm sweep another --name.",
        ) from error


def _parse_cell(content: Mapping[str, Any]) -> PlannedCell:
    stored = parse_content(content, _StoredCell)
    return PlannedCell(
        cell=Cell(target=stored.target, inputs=stored.inputs, blocks=stored.blocks),
        domain=stored.domain,
        kind=stored.kind,
        population=Population(n=stored.n, participants=stored.participants, reason=stored.reason),
    )
