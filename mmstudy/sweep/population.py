"""Who the cells of a target are trained, validated and tested on, and which cells cannot be trained."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from catalog.cohorts import TARGET, TARGET_PREFIX, build_cohort, split_sizes
from catalog.database import Connection
from catalog.errors import CohortError
from catalog.fields import Dictionary
from catalog.splits.schemes import SplitScheme
from catalog.statements import fetch_frame
from mmstudy.runs.comparable import participants_of

_STORED_SQL = "SELECT modality, count(*) AS n FROM scans WHERE status = 'stored' GROUP BY modality"


@dataclass(frozen=True, kw_only=True, slots=True)
class Population:
    """Who the models of one target use."""

    n: Mapping[str, int] = field(default_factory=dict)
    """Samples by split; empty where no model can be trained."""
    participants: str = ""
    """Hash of who is in which split."""
    reason: str = ""
    """Why no model can be trained; empty where one can."""


def stored_counts(catalog: Connection) -> dict[str, int]:
    """Return how many samples have each modality stored."""
    return dict(fetch_frame(catalog, _STORED_SQL).iter_rows())


def find_population(
    catalog: Connection,
    dictionary: Dictionary,
    target: str,
    required: Sequence[str],
    scheme: SplitScheme,
    data_size: int | None,
) -> Population:
    """Return who has a label of a target and everything that is required."""
    try:
        cohort = build_cohort(catalog, dictionary, [target], required, [], scheme, data_size=data_size).frame
    except CohortError as error:
        return Population(reason=error.what_happened)
    return Population(n=split_sizes(cohort), participants=participants_of(cohort, TARGET))


def differing_together(
    catalog: Connection,
    dictionary: Dictionary,
    expected: Mapping[str, str],
    required: Sequence[str],
    scheme: SplitScheme,
) -> list[str]:
    """Return the targets that have other samples in a network of several targets than in one of their own.

    Relatives in different splits can do that: a tested person who has one target alone keeps a relative from being
    trained on for all.

    Parameters
    ----------
    expected
        Target to the hash of its own participants, of all targets of the network.
    """
    if len(expected) < 2:
        return []
    cohort = build_cohort(catalog, dictionary, list(expected), required, [], scheme).frame
    return [name for name, own in expected.items() if participants_of(cohort, TARGET_PREFIX + name) != own]


def missing_reason(inputs: Sequence[str], stored: Collection[str]) -> str:
    """Return why nobody has all inputs of a cell; empty where somebody may."""
    missing = [name for name in inputs if name not in stored]
    return f"The study has no {' and no '.join(missing)} stored." if missing else ""
