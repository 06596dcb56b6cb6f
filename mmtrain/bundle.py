"""A bundle: the directory of a model that is passed on, with all that is needed to use it and nothing of any person."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class BundleDirectory:
    """Where the parts of a bundle lie; the first two are named as in a run's directory."""

    path: Path

    @property
    def model(self) -> Path:
        """Weights."""
        return self.path / "model.safetensors"

    @property
    def model_card(self) -> Path:
        """What the weights expect as input and what their output means."""
        return self.path / "model.json"

    @property
    def contract(self) -> Path:
        """How scans and tables become that input."""
        return self.path / "contract.json"

    @property
    def intervals(self) -> Path:
        """How wide its prediction intervals are; there only where enough people calibrated them."""
        return self.path / "intervals.json"
