"""A synthetic UK Biobank release with a known truth, to test and to try everything else on.

What is planted (amounts: `participant`, `contrast`, `timeseries`, `phenotype`):

age     45 to 82 years. Ventricles widen, frontal sulci too as cortical grey matter thins, frontal FLAIR caps around the
        ventricles brighten, FA of the frontal white matter falls, the default network loosens. Everything is local,
        with spread between people of one age. The back of the brain has the same changes at random, whatever the age,
        and every scan has tissue levels, a gamma, and a scale of its own, so that neither the mean intensity nor the
        histogram says much, and a reader that gets the geometry wrong loses the signal.
sex     head size (which FLIRT takes out), grey matter around the hippocampi, a block of connectivity, body measures.
table   sex and age in the body measures; one latent trait under the psychology items.

What is deliberately wrong: `plan`. Where landmarks lie: `truth`.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmdata.errors import SourceError
from mmdata.execution import run_tasks
from mmdata.synth.plan import ALL_FIELDS, FLAIR_FIELD, T1_FIELD, ReleasePlan, Visit, plan_release
from mmdata.synth.readme import README
from mmdata.synth.table import write_table, write_withdrawals
from mmdata.synth.truth import write_truth
from mmdata.synth.visit import VisitResult, VisitTask, write_visit

TABLE_NAME = "ukb_synthetic.csv"
WITHDRAWALS_NAME = "w12345_20260101.csv"
TRUTH_NAME = "truth.parquet"
_MIN_PARTICIPANTS = 4
_MAX_PARTICIPANTS = 1_000_000
_VOXEL_RANGE_MM = (0.7, 4.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class SynthConfig:
    """What to synthesise."""

    participants: int
    """People with imaging, 4 to 1,000,000; from 8 on, every kind of bad file occurs."""
    seed: int = 1337
    """Equal seeds give equal bytes."""
    voxel_mm: float = 1.0
    """Edge length of T1 and FLAIR voxels, 0.7 to 4 mm; diffusion maps have 2 mm or this, whichever is larger. UK
    Biobank's own is 1 mm; 3 mm takes a thirtieth of the time and disk."""

    def __post_init__(self) -> None:
        if not _MIN_PARTICIPANTS <= self.participants <= _MAX_PARTICIPANTS:
            raise SourceError(
                f"participants: expected {_MIN_PARTICIPANTS} to {_MAX_PARTICIPANTS:,}, got {self.participants}"
            )
        smallest_mm, largest_mm = _VOXEL_RANGE_MM
        if not smallest_mm <= self.voxel_mm <= largest_mm:
            raise SourceError(f"voxel_mm: expected {smallest_mm} to {largest_mm} mm, got {self.voxel_mm}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseSummary:
    """What a release holds, in numbers."""

    participants: int
    """With imaging."""
    table_rows: int
    """Participants with and without imaging."""
    visits: int
    """Imaging visits, repeat visits included."""
    repeat_visits: int
    scans: dict[str, int]
    """Files per bulk field, bad ones included."""
    absent: dict[str, int]
    """Files per bulk field that visits lack."""
    unusable_t1: int
    truncated_t1: int
    flair_without_matrix: int
    """FLAIR archives that hold no matrix of their own."""
    flair_without_any_matrix: int
    """Of these, the ones whose visit has no T1 archive either: such a FLAIR cannot be normalised."""
    withdrawn: int
    """Withdrawn participants with imaging."""


def write_release(
    dest: Path, config: SynthConfig, *, workers: int, on_progress: Callable[[int, int], None]
) -> ReleaseSummary:
    """Write a synthetic release to an empty or new folder.

    Parameters
    ----------
    workers
        Processes that write visits; 0 writes them here. The bytes do not depend on it.
    on_progress
        Called with the imaging visits written so far and their total, which repeat visits make slightly larger than
        the number of participants.

    Raises
    ------
    SourceError
        `dest` is a file or holds something.
    """
    _refuse_occupied(dest)
    bulk = dest / "bulk"
    bulk.mkdir(parents=True)
    plan = plan_release(config.seed, config.participants)
    tasks = [VisitTask(visit=visit, seed=config.seed, voxel_mm=config.voxel_mm, bulk=bulk) for visit in plan.visits]
    results: list[VisitResult] = []
    for result in run_tasks(write_visit, tasks, workers=workers):
        results.append(result)
        on_progress(len(results), len(tasks))
    results.sort(key=lambda result: (result.visit.index, result.visit.instance))
    write_truth(dest / TRUTH_NAME, config.seed, results)
    table_rows = write_table(dest / TABLE_NAME, config.seed, plan)
    write_withdrawals(dest / WITHDRAWALS_NAME, config.seed, plan)
    (dest / "README.txt").write_text(README, encoding="utf-8")
    return _summarise(plan, config.participants, table_rows)


def _refuse_occupied(dest: Path) -> None:
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise SourceError(f"{dest}: expected a new or empty folder, it holds something; choose another or empty it")


def _summarise(plan: ReleasePlan, participants: int, table_rows: int) -> ReleaseSummary:
    scans = Counter(field for visit in plan.visits for field in visit.fields)
    without_matrix = [visit for visit in plan.visits if FLAIR_FIELD in visit.fields and not visit.flair_has_matrix]
    return ReleaseSummary(
        participants=participants,
        table_rows=table_rows,
        visits=len(plan.visits),
        repeat_visits=len(plan.visits) - participants,
        scans={field: scans[field] for field in ALL_FIELDS},
        absent={field: len(plan.visits) - scans[field] for field in ALL_FIELDS},
        unusable_t1=_num_with_defect(plan.visits, "unusable"),
        truncated_t1=_num_with_defect(plan.visits, "truncated"),
        flair_without_matrix=len(without_matrix),
        flair_without_any_matrix=sum(T1_FIELD not in visit.fields for visit in without_matrix),
        withdrawn=1,
    )


def _num_with_defect(visits: tuple[Visit, ...], defect: str) -> int:
    return sum(visit.t1_defect == defect for visit in visits)
