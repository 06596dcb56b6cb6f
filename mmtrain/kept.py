"""What a process keeps from run to run, for those that train many."""

from dataclasses import dataclass, field

from mmtrain.kept_values import KeptValues


@dataclass(slots=True)
class Kept:
    """What one process keeps for its next run."""

    reductions: KeptValues = field(default_factory=KeptValues)
    """Coarse volumes, edges and projections, for networks that are fitted at once."""
