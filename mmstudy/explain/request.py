"""What is to be explained, and how."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mmtrain.explain.explainer import ExplainSettings

EdgesBaseline = Literal["zero", "mean"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainRequest:
    """What is to be explained, and how."""

    model: str
    output: Path
    settings: ExplainSettings = field(default_factory=ExplainSettings)
    target: str | None = None
    """None: the only one."""
    edges_baseline: EdgesBaseline = "zero"
    """Connectivity of the baseline: 0, or the mean of the training split."""
    device: str = "auto"
    seed: int = 1337
    """Of the choice of samples and of intervals."""
