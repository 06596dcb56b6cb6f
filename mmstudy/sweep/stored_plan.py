"""The plan of a sweep on disk: what its workers, its status and its comparison go by."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mmbase.files import write_json
from mmbase.json_text import Count, DamagedTextError, read_json
from mmbase.version import VERSION
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.plan import SweepPlan
from mmtrain.errors import TrainError

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class _Version:
    """What plan.json says of itself."""

    schema_version: Count
    mm: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stored(_Version):
    """What plan.json holds."""

    plan: SweepPlan
    accepted: tuple[str, ...]


def write_plan(sweep: SweepDirectory, plan: SweepPlan, accepted: Sequence[str]) -> None:
    """Keep a plan.

    Parameters
    ----------
    accepted
        Codes of critical findings of the audit that the user accepts.
    """
    content = {"schema_version": SCHEMA_VERSION, "mm": VERSION, "plan": asdict(plan), "accepted": list(accepted)}
    write_json(sweep.plan, content)


def read_plan(sweep: SweepDirectory) -> tuple[SweepPlan, tuple[str, ...]]:
    """Return a sweep's plan, and the codes of findings that its user accepts.

    Raises
    ------
    TrainError
        It is damaged, or of a newer version of mm.
    """
    try:
        version = read_json(sweep.plan, _Version)
        if version.schema_version > SCHEMA_VERSION:
            raise TrainError(
                f"The sweep {sweep.name} was planned by a newer mm ({version.mm}; this is {VERSION}).", "Update mm."
            )
        stored = read_json(sweep.plan, _Stored)
    except (OSError, DamagedTextError) as error:
        raise TrainError(
            f"{sweep.plan.name} of the sweep {sweep.name} cannot be read: {error}.",
            "Plan it again: its finished runs stay. Give mm sweep another --name.",
        ) from error
    return stored.plan, stored.accepted
