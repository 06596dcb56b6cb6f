"""The plan of a sweep on disk: what its workers, its status and its comparison go by."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmbase.files import write_json
from mmbase.json_text import Count, DamagedTextError, parse_content, read_json
from mmbase.version import VERSION
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.plan import SweepPlan
from mmtrain.errors import TrainError

SCHEMA_VERSION = 2
"""1: a cell had one hash of its participants, and jobs had none."""


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
        content = read_json(sweep.plan, dict[str, Any])
        stored = parse_content(_upgraded(content) if version.schema_version == 1 else content, _Stored)
    except (OSError, DamagedTextError) as error:
        raise TrainError(
            f"{sweep.plan.name} of the sweep {sweep.name} cannot be read: {error}.",
            "Plan it again: its finished runs stay. Give mm sweep another --name.",
        ) from error
    return stored.plan, stored.accepted


def _upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """Return a plan of version 1 as one of version 2; what cannot be one is left for the parser to refuse."""
    try:
        for planned in content["plan"]["cells"]:
            own = planned["population"].pop("participants", "")
            planned["population"]["participants"] = {planned["cell"]["target"]: own} if own else {}
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedTextError(f"expected the cells of a plan, and {error!r} came") from error
    return content
