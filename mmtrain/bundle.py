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

    @property
    def training_cohort(self) -> Path:
        """What the people trained on have in common; published weights have none."""
        return self.path / "cohort.safetensors"

    @property
    def results(self) -> Path:
        """What may be told of how good the model is, and of whom it was trained on."""
        return self.path / "results.json"

    @property
    def readme(self) -> Path:
        """The model card for people."""
        return self.path / "README.md"

    @property
    def onnx(self) -> Path:
        """The network for programs without PyTorch; there only where it could be written so."""
        return self.path / "model.onnx"

    @property
    def golden_inputs(self) -> Path:
        """Made-up inputs."""
        return self.path / "golden" / "inputs.safetensors"

    @property
    def golden_outputs(self) -> Path:
        """What the model gave for them where it was exported."""
        return self.path / "golden" / "outputs.json"

    @property
    def untrained(self) -> Path:
        """Blocks of a published checkpoint that are no part of the model that was imported from it."""
        return self.path / "untrained.safetensors"

    @property
    def required(self) -> tuple[Path, ...]:
        """What every bundle has that mm exports; a model that was imported may have the first three alone."""
        return (self.model, self.model_card, self.contract, self.golden_inputs, self.golden_outputs)

    @property
    def parts(self) -> tuple[Path, ...]:
        """Every file that a bundle may have, but for checksums."""
        described = (self.intervals, self.training_cohort, self.results, self.readme)
        return (*self.required, *described, self.onnx, self.untrained)
