"""Who the cells of a target are trained, validated and tested on, and which cells cannot be trained."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from catalog.cohorts import build_cohort, split_sizes
from catalog.database import Connection
from catalog.errors import CohortError
from catalog.fields import Dictionary
from catalog.splits.schemes import SplitScheme
from catalog.statements import fetch_frame
from mmstudy.runs.comparable import participants_of
from mmstudy.sweep.plan import Population

_STORED_SQL = "SELECT modality, count(*) AS n FROM scans WHERE status = 'stored' GROUP BY modality"


def stored_counts(catalog: Connection) -> dict[str, int]:
    """Return how many samples have each modality stored."""
    return dict(fetch_frame(catalog, _STORED_SQL).iter_rows())


@dataclass(frozen=True, kw_only=True, slots=True)
class Populations:
    """Finds who the models of targets use, and keeps it: most models of a sweep use the same samples."""

    catalog: Connection
    dictionary: Dictionary
    data_size: int | None = None
    """Training samples that are used; None: all."""
    _found: dict[tuple[tuple[str, ...], tuple[str, ...], SplitScheme], Population] = field(default_factory=dict)

    def of(self, targets: Sequence[str], required: Sequence[str], scheme: SplitScheme) -> Population:
        """Return who has a label of one of the targets and everything that is required."""
        key = (tuple(targets), tuple(required), scheme)
        if key not in self._found:
            self._found[key] = self._find(*key)
        return self._found[key]

    def _find(self, targets: Sequence[str], required: Sequence[str], scheme: SplitScheme) -> Population:
        try:
            selection = build_cohort(
                self.catalog, self.dictionary, targets, required, [], scheme, data_size=self.data_size
            )
        except CohortError as error:
            return Population(reason=error.what_happened)
        cohort = selection.frame
        return Population(n=split_sizes(cohort), participants=participants_of(cohort, targets))


def missing_reason(inputs: Sequence[str], stored: Collection[str]) -> str:
    """Return why nobody has all inputs of a cell; empty where somebody may."""
    missing = [name for name in inputs if name not in stored]
    return f"The study has no {' and no '.join(missing)} stored." if missing else ""
