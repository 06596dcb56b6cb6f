"""Where a run computes and reads, and how often it saves: what may differ when it is resumed."""

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict
from pydantic_core import PydanticCustomError

from mmbase.json_text import shortened
from mmbase.settings import STRICT, Option
from mmtrain import loggers
from mmtrain.discovery import require_choice
from mmtrain.errors import TrainError

DEFAULT_PREFETCH_BYTES = 96 << 20
"""A few batches: enough to keep reads running, little enough to stay near the processor."""
ALWAYS_LOGGED = "tensorboard"
CacheChoice = Literal["auto", "device", "host", "none"]
DEVICE_NAMES = "[auto|cpu|cuda|cuda:N]"
"""As the help shows them."""
_DEVICES = "auto, cpu, cuda or cuda:N (cuda:0 is this machine's first GPU)"
_DEVICE_NAME = re.compile(r"auto|cpu|cuda(:(0|[1-9]\d{0,3}))?", re.ASCII)
_POSITIVE = ("prefetch_bytes", "checkpoint_minutes", "hang_seconds")


@dataclass(frozen=True, slots=True)
class LogTarget:
    """One value of `--log`."""

    name: str
    """A file of mmtrain/loggers."""
    argument: str = ""
    """What stands behind the first colon: where the numbers are sent."""


def require_device_name(name: str) -> None:
    """Refuse what is no name of a device; whether this machine has it is for `mmtrain.device.choose_device` to say.

    Raises
    ------
    TrainError
        Says which names there are.
    """
    if not _DEVICE_NAME.fullmatch(name):
        raise TrainError(f"Expected a device that is {_DEVICES}, got {shortened(name)}.")


def _parse_device(name: str) -> str:
    if not _DEVICE_NAME.fullmatch(name):
        raise PydanticCustomError("device", f"Expected {_DEVICES}")
    return name


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionConfig:
    """Where a run computes and reads, and how often it saves."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    device: Annotated[str, AfterValidator(_parse_device), Option(metavar=DEVICE_NAMES)] = "auto"
    """Where to compute; auto takes a GPU if there is one, cuda:1 is the second GPU of this machine."""
    stores: str = ""
    """Read copies of the stores in this folder or at s3://BUCKET/PREFIX instead of the study's own."""
    prefetch_bytes: Annotated[int, Option("--prefetch-mb", factor=1 << 20, minimum=1)] = DEFAULT_PREFETCH_BYTES
    """Memory of each GPU's process for batches that are read ahead."""
    cache: CacheChoice = "auto"
    """Where rows stay once they are read, for the next epochs and runs of this process: in the memory of the device, of
    the host, or nowhere. auto: on the device or else on the host, where all fit and are read again."""
    cache_bytes: Annotated[int | None, Option("--cache-mb", factor=1 << 20, minimum=1)] = None
    """Memory of each GPU's process for rows that stay; half of what is free, unless told."""
    checkpoint_minutes: float = 10.0
    """Minutes of work that a kill may cost: between checkpoints within an epoch; there is one after each epoch too."""
    hang_seconds: float = 1800.0
    """With several GPUs: stop, and name the one that hangs, after so long without a new batch."""
    log: Annotated[tuple[str, ...], Option(repeatable=True)] = ()
    """Send the run's settings, losses and metrics to a server too: mlflow:URI (docs/progress.md). TensorBoard's files
    are always written; tensorboard alone sends a resumed run nowhere any more."""

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if not 0 < getattr(self, name) < float("inf"):
                raise TrainError(f"{name} must be a positive number, got {getattr(self, name)}.")
        if self.cache_bytes is not None and self.cache_bytes <= 0:
            raise TrainError(f"cache_bytes must be a positive number, got {self.cache_bytes}.")
        names = [parse_log(text).name for text in self.log]
        if len(set(names)) != len(names):
            raise TrainError(f"Expected each logger once, got {' '.join(names)}.")


def parse_log(text: str) -> LogTarget:
    """Return what one value of `--log` says.

    Raises
    ------
    TrainError
        There is no such logger, or the address holds a password, which the run's config.json would keep.

    Examples
    --------
    >>> parse_log("mlflow:http://host:5000")
    LogTarget(name='mlflow', argument='http://host:5000')
    """
    name, _, argument = text.partition(":")
    require_choice(loggers, name, "logger")
    if "@" in urlsplit(argument).netloc:
        raise TrainError(
            f"The address of --log {name} holds a user or password, and a run keeps its settings readable.",
            "Leave it out, and set the environment variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
        )
    return LogTarget(name, argument)
