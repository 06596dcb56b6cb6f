"""How long jobs take beside each other, before any has been done: long ones are begun first."""

from collections.abc import Mapping, Sequence

from mmbase.names import CONNECTIVITY
from mmstudy.sweep.jobs import Job
from mmstudy.sweep.plan import SweepPlan
from mmstudy.sweep.settings import settings_of_all
from mmtrain.models.names import FITTED_AT_ONCE

_EDGES = 10_000
"""What connectivity costs, in voxels: its 64,620 numbers meet one layer, a voxel meets many convolutions."""
_FIXED = 6_000
"""What a sample costs whatever is read of it, in voxels."""
_MORE_VOLUMES = 0.1
"""What each volume beside the first costs of it: volumes are channels of one imaging network."""
_PASSES_AT_ONCE = 2.0
"""Over the training samples, of a network that is fitted at once."""
_SHARE_OF_HEADS = 0.02
"""Of what their inputs would cost: embeddings are read in place of volumes."""


def expected_cost(job: Job, *, num_samples: int, side: int, epochs: int, is_fitted: bool) -> float:
    """Return the cost of a job in voxels: a relative number, to sort by, after a sweep at side 32 on a processor.

    >>> job = Job(name="a", targets=("age",), inputs=("t1",), seed=1)
    >>> expected_cost(job, num_samples=10, side=32, epochs=3, is_fitted=False)
    1163040.0
    """
    volumes = side**3 * (1 + _MORE_VOLUMES * (len(job.volumes) - 1)) if job.volumes else 0.0
    edges = _EDGES if CONNECTIVITY in job.inputs else 0
    per_sample = volumes * (_SHARE_OF_HEADS if job.trunk else 1.0) + edges + _FIXED
    return num_samples * per_sample * (_PASSES_AT_ONCE if is_fitted else epochs)


def expected_costs(plan: SweepPlan) -> dict[str, float]:
    """Return what each job is expected to cost."""
    sizes = {of.cell.name: sum(of.population.n.values()) for of in plan.trainable}
    largest = max(sizes.values(), default=0)
    config = settings_of_all(plan.settings.train)
    return {
        job.name: expected_cost(
            job,
            num_samples=max((sizes[cell] for cells in job.serves.values() for cell in cells), default=largest),
            side=config.data.side,
            epochs=config.optimisation.epochs,
            is_fitted=job.network in FITTED_AT_ONCE,
        )
        for job in plan.jobs
    }


def in_order(jobs: Sequence[Job], costs: Mapping[str, float]) -> list[Job]:
    """Return jobs as they are to be begun: trunks, on which others wait, then those that take longest."""
    needed = {job.trunk for job in jobs if job.trunk}
    return sorted(jobs, key=lambda job: (job.name not in needed, -costs[job.name], job.name))
