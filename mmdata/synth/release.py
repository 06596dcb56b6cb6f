"""A synthetic UK Biobank release with a known truth, to test and to try everything else on.

What is planted (amounts: `participant`, `contrast`, `timeseries`, `phenotype`):

age     45 to 82 years. Ventricles widen, frontal sulci too as cortical grey matter thins, frontal FLAIR caps around the
        ventricles brighten, FA of the frontal white matter falls, the default network loosens. Everything is local,
        with spread between people of one age. The back of the brain has the same changes at random, whatever the age,
        and every scan has tissue levels, a gamma, and a scale of its own, so that neither the mean intensity nor the
        histogram says much, and a reader that gets the geometry wrong loses the signal.
sex     head size (which FLIRT takes out), grey matter around the hippocampi, a block of connectivity, body measures.
table   sex and age in the body measures; one latent trait under the psychology items.

The same participants can be written in several layouts (`layout`): UK Biobank's archives, unpacked or as its platform
mounts them, BIDS derivatives, or the reference study's folder, plain or as its own code has it. UK Biobank's table
comes in several forms (`table_form`), and beside it lies who is related to whom (`kinship`). What some studies choose
beside it comes on request: further diffusion maps, images in template space, further kinds of connectivity
(`microstructure`, `template_space`, `timeseries`). None of it changes a byte of what is written without it.

What is deliberately wrong: `plan`; on request also one participant for every kind of bad file: `faults.kinds`. Where
landmarks lie: `truth`.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmdata.errors import SourceError
from mmdata.execution.tasks import run_tasks
from mmdata.synth.faults.participants import add_faults, limit_plan, write_faults
from mmdata.synth.kinship import write_kinship
from mmdata.synth.layout import LAYOUTS, LayoutName
from mmdata.synth.marker import README_NAME
from mmdata.synth.plan import (
    ALL_FIELDS,
    EXTRA_FIELDS,
    FLAIR_FIELD,
    T1_FIELD,
    ReleasePlan,
    Visit,
    add_extras,
    complete,
    plan_release,
)
from mmdata.synth.readme import readme_text
from mmdata.synth.table import write_withdrawals
from mmdata.synth.table_form import TABLE_FORMS, TableForm, write_table
from mmdata.synth.truth import write_truth
from mmdata.synth.visit import VisitResult, VisitTask, write_visit

WITHDRAWALS_NAME = "w12345_20260101.csv"
KINSHIP_NAME = "ukb_rel.dat"
TRUTH_NAME = "truth.parquet"
FAULTS_NAME = "faults.parquet"
_MIN_PARTICIPANTS = 4
_MAX_PARTICIPANTS = 1_000_000
_VOXEL_RANGE_MM = (0.7, 4.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class SynthConfig:
    """What to synthesise."""

    participants: int
    """People with imaging, 4 to 1,000,000, before those whom `faults` adds; from 8 on, every ordinary kind of bad file
    occurs."""
    seed: int = 1337
    """Equal seeds give equal bytes."""
    voxel_mm: float = 1.0
    """Edge length of T1 and FLAIR voxels, 0.7 to 4 mm; diffusion maps have 2 mm or this, whichever is larger. UK
    Biobank's own is 1 mm; 3 mm takes a thirtieth of the time and disk."""
    layout: LayoutName = "zips"
    """UK Biobank's archives (``zips``), the same unpacked (``trees``) or as its Research Analysis Platform mounts them
    (``rap``); BIDS derivatives (``bids``); the reference study's images in template space (``folder``), or its own
    folders as its code would have written them (``reference``)."""
    faults: Literal["some", "every"] = "some"
    """``every`` adds a participant for each kind of bad file that the layout can show, and lists them all in
    ``faults.parquet``."""
    extras: bool = False
    """Whether UK Biobank's items also hold what only some studies choose: further diffusion maps, images in template
    space (the most of the time and disk), further kinds of connectivity."""
    table_form: TableForm | None = None
    """How UK Biobank's table is written (`mmdata.synth.table_form`); None: as the layout has it, ``rap`` in the layout
    ``rap`` and ``ukbconv-csv`` in the others."""

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise SourceError(f"layout: expected one of {', '.join(LAYOUTS)}, got {self.layout}")
        if self.faults not in ("some", "every"):
            raise SourceError(f"faults: expected some or every, got {self.faults}")
        if self.extras and not LAYOUTS[self.layout].shown.fields.issuperset(EXTRA_FIELDS):
            raise SourceError(f"extras: expected a layout of UK Biobank's items, zips, trees or rap, got {self.layout}")
        if self.table_form not in (None, *TABLE_FORMS):
            raise SourceError(f"table_form: expected one of {', '.join(TABLE_FORMS)}, got {self.table_form}")
        if self.table_form and not isinstance(LAYOUTS[self.layout].table, str):
            raise SourceError(f"table_form: expected a layout with UK Biobank's table, got {self.layout}")
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
    """Scans per bulk field, bad ones included."""
    absent: dict[str, int]
    """Scans per bulk field that visits of ordinary participants lack."""
    unusable_t1: int
    truncated_t1: int
    flair_without_matrix: int
    """FLAIR archives that hold no matrix of their own."""
    flair_without_any_matrix: int
    """Of these, the ones whose visit has no T1 archive either: such a FLAIR cannot be normalised."""
    faulty: int
    """Participants added for the sake of one fault each."""
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
    dest.mkdir(parents=True, exist_ok=True)
    layout, seed = LAYOUTS[config.layout], config.seed
    plan = _plan(config)
    layout.prepare(dest, seed, plan)
    tasks = [
        VisitTask(visit=visit, seed=seed, voxel_mm=config.voxel_mm, layout=config.layout, root=dest)
        for visit in plan.visits
    ]
    results: list[VisitResult] = []
    for result in run_tasks(write_visit, tasks, workers=workers):
        results.append(result)
        on_progress(len(results), len(tasks))
    results.sort(key=lambda result: (result.visit.index, result.visit.instance))
    write_truth(dest / TRUTH_NAME, seed, results)
    table_rows = _write_table(dest, config, plan)
    write_withdrawals(dest / WITHDRAWALS_NAME, seed, plan)
    if config.faults == "every":
        write_faults(dest / FAULTS_NAME, seed, plan)
    readme = readme_text(
        config.layout, config.table_form, has_extras=config.extras, has_every_fault=config.faults == "every"
    )
    (dest / README_NAME).write_text(readme, encoding="utf-8")
    return _summarise(plan, config, table_rows)


def _write_table(dest: Path, config: SynthConfig, plan: ReleasePlan) -> int:
    """Write the table, and beside UK Biobank's its file of relatives; return the table's rows."""
    layout = LAYOUTS[config.layout]
    table = config.table_form or layout.table
    if not isinstance(table, str):
        return table(dest, config.seed, plan)
    write_kinship(dest / KINSHIP_NAME, config.seed, plan)
    return write_table(dest, table, config.seed, plan)


def _plan(config: SynthConfig) -> ReleasePlan:
    layout = LAYOUTS[config.layout]
    shown = layout.shown
    plan = plan_release(config.seed, config.participants)
    if layout.is_complete:
        plan = complete(plan, shown.fields)
    plan = limit_plan(add_extras(plan) if config.extras else plan, shown)
    return add_faults(plan, shown) if config.faults == "every" else plan


def _refuse_occupied(dest: Path) -> None:
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise SourceError(f"{dest}: expected a new or empty folder, it holds something.", "Choose another or empty it.")


def _summarise(plan: ReleasePlan, config: SynthConfig, table_rows: int) -> ReleaseSummary:
    ordinary = [visit for visit in plan.visits if visit.index < config.participants]
    scans = Counter(field for visit in plan.visits for field in visit.fields)
    expected = Counter(field for visit in ordinary for field in visit.fields)
    without_matrix = [visit for visit in ordinary if FLAIR_FIELD in visit.fields and not visit.flair_has_matrix]
    offered = (*ALL_FIELDS, *EXTRA_FIELDS) if config.extras else ALL_FIELDS
    fields = [field for field in offered if field in LAYOUTS[config.layout].shown.fields]
    return ReleaseSummary(
        participants=len({visit.index for visit in plan.visits}),
        table_rows=table_rows,
        visits=len(plan.visits),
        repeat_visits=sum(visit.instance == 3 for visit in plan.visits),
        scans={field: scans[field] for field in fields},
        absent={field: len(ordinary) - expected[field] for field in fields},
        unusable_t1=_num_with_defect(plan.visits, "unusable"),
        truncated_t1=_num_with_defect(plan.visits, "truncated"),
        flair_without_matrix=len(without_matrix),
        flair_without_any_matrix=sum(T1_FIELD not in visit.fields for visit in without_matrix),
        faulty=len(plan.visits) - len(ordinary),
        withdrawn=1,
    )


def _num_with_defect(visits: tuple[Visit, ...], defect: str) -> int:
    return sum(visit.t1_defect == defect for visit in visits)
