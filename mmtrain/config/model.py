"""Which network is trained."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict

from mmbase.settings import STRICT, Option
from mmtrain.errors import TrainError


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Which network is trained."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    model: str = "fusion"
    """Network: fusion, the reference study's, takes any inputs; docs/networks.md has the others, and a wrong name lists
    them."""
    channels: tuple[int, ...] = ()
    """Width of the network fusion at each stage, e.g. 16,32,64,128; left out: by side, as the reference."""
    weight_penalty: Annotated[float, Option(minimum=0)] = 1e-4
    """Of the network fusion: times the mean square of each tensor of more than one dimension (no biases, no norms),
    added to the loss."""
    connectivity_penalty: Annotated[float, Option(minimum=0)] = 1e-3
    """The same for the first connectivity layer, which has most of the weights."""
    keep_imaging: Annotated[bool, Option(negatable=True)] = False
    """Of the network fusion: without volumes among the inputs, have its imaging network all the same, penalised and
    optimised, as the reference; the head gets zeros from it."""
    modality_dropout: float = 0.0
    """Of the network fusion: leave each input of a training sample out with this probability, never all of them, so
    that one model predicts from any of its inputs (docs/subsets.md); 0: never."""
    trunk: Annotated[str | None, Option(is_setting=False, metavar="RUN")] = None
    """Of the network fusion: take the imaging network of this finished run, which has seen exactly the same volumes, as
    it is, and train only what comes after it (docs/methods.md); left out: train all."""

    def __post_init__(self) -> None:
        if self.channels and min(self.channels) < 1:
            raise TrainError(f"channels must be positive, got {' '.join(map(str, self.channels))}.")
        for name in ("weight_penalty", "connectivity_penalty"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise TrainError(f"{name} must not be negative, got {getattr(self, name)}.")
        if not 0 <= self.modality_dropout < 1:
            raise TrainError(f"modality_dropout must be 0 or more and less than 1, got {self.modality_dropout}.")
        if self.trunk is not None and not self.trunk:
            raise TrainError("trunk must be the name of a run, got an empty one.", "Give --trunk RUN, or leave it out.")
        if self.trunk and self.modality_dropout:
            raise TrainError(
                "--modality-dropout hides single volumes, and with --trunk a run reads no volumes but what the trunk "
                "makes of all of them.",
                "Leave one of the two out.",
            )
