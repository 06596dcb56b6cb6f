"""A sweep in words and tables: its plan, how far it is, and how it ended."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from mmbase.duration import as_duration
from mmbase.names import SPLITS
from mmbase.plain_table import PlainTable, plain_table
from mmstudy.sweep.plan import SweepPlan
from mmstudy.sweep.status import FailedJob, SweepStatus

_SHOWN_RUNNING, _SHOWN_REASONS, _SHOWN_JOBS = 16, 8, 3


def plan_lines(plan: SweepPlan) -> list[Any]:
    """Return what is told of a sweep before it begins."""
    networks = sum(job.network not in plan.settings.baselines for job in plan.jobs)
    lines: list[Any] = [
        _targets_table(plan),
        f"{len(plan.cells)} models, of which {len(plan.trainable)} can be trained here.",
        f"Method {', '.join(plan.settings.methods) or 'none'}: {networks} networks, and {len(plan.jobs) - networks} "
        "baselines.",
    ]
    if plan.settings.each_its_own:
        lines.append("Each model has its own samples (--each-its-own): their scores cannot be compared.")
    if plan.required_inputs:
        required = ", ".join(plan.required_inputs)
        lines.append(f"All models of a target have the same samples: those with {required}.")
    lines += [f"Not trained: {count} models. {reason}" for reason, count in _reasons(plan).most_common()]
    return [*lines, *plan.notes]


def _reasons(plan: SweepPlan) -> Counter[str]:
    return Counter(of.population.reason for of in plan.cells if not of.can_be_trained)


def _targets_table(plan: SweepPlan) -> PlainTable:
    rows = []
    for target in dict.fromkeys(of.cell.target for of in plan.cells):
        cells = [of for of in plan.cells if of.cell.target == target]
        trainable = [of for of in cells if of.can_be_trained]
        sizes = [trainable[0].population.n[split] for split in SPLITS] if trainable else ["–"] * len(SPLITS)
        rows.append((target, cells[0].domain, *(str(number) for number in (len(cells), len(trainable), *sizes))))
    titles = ("target", "domain", "models", "can be trained", *SPLITS)
    return plain_table(titles, rows, whole=["target"], right=titles[2:])


def status_lines(name: str, status: SweepStatus) -> list[Any]:
    """Return how far a sweep is."""
    return [
        _counts(name, status),
        *_running_table(status),
        *failure_lines(status.failed),
    ]


def failure_lines(failed: Sequence[FailedJob]) -> list[str]:
    """Return why jobs have failed, the most frequent reason first, with some of the jobs that it has befallen."""
    names: dict[str, list[str]] = {}
    for of in failed:
        names.setdefault(f"{of.error} {of.remedy}".strip(), []).append(of.name)
    in_order = sorted(names.items(), key=lambda item: -len(item[1]))
    lines = [f"{_some(jobs, _SHOWN_JOBS)} failed: {reason}" for reason, jobs in in_order[:_SHOWN_REASONS]]
    if len(in_order) > _SHOWN_REASONS:
        lines.append(f"{len(in_order) - _SHOWN_REASONS} more reasons are told by mm sweep status --json.")
    return lines


def _some(names: Sequence[str], number: int) -> str:
    more = f" and {len(names) - number} more" if len(names) > number else ""
    return ", ".join(names[:number]) + more


def end_lines(name: str, status: SweepStatus) -> list[str]:
    """Return how a sweep ended."""
    unfinished = status.num_jobs - status.num_finished - len(status.failed)
    lines = [f"{status.num_finished} of {status.num_jobs} runs of the sweep {name} are finished."]
    if status.failed:
        lines.append(f"{len(status.failed)} have failed; do them again with: mm sweep --name {name} --retry")
    if unfinished:
        lines.append(f"{unfinished} are not done yet; go on with: mm sweep --name {name}")
    return [*lines, f"Compare them with: mm compare --name {name}"]


def _counts(name: str, status: SweepStatus) -> str:
    parts = [
        f"{status.num_finished} of {status.num_jobs} runs finished",
        f"{len(status.running)} running",
        *([f"{status.interrupted} interrupted"] if status.interrupted else []),
        *([f"{len(status.failed)} failed"] if status.failed else []),
        *([f"{status.per_hour:g} an hour"] if status.per_hour else []),
        *([f"about {as_duration(status.seconds_left)} left"] if status.seconds_left else []),
    ]
    return f"{name}: {', '.join(parts)}"


def _running_table(status: SweepStatus) -> Iterator[PlainTable]:
    if status.running:
        rows = [(of.name, str(of.epoch)) for of in status.running[:_SHOWN_RUNNING]]
        yield plain_table(("running", "epochs done"), rows, right=["epochs done"])
