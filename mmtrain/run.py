"""A run's directory: what lies where, written so that a kill never leaves half a file."""

import platform
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from mmbase.errors import first_line
from mmbase.files import PRIVATE_FOLDER_MODE, draft_of, make_directory, sync_directory, write_json
from mmbase.json_text import DamagedTextError, read_json
from mmbase.lock import LockHeldError, hold_lock
from mmbase.version import VERSION
from mmtrain.config.execution import ExecutionConfig
from mmtrain.config.run import RunConfig, parse_execution, parse_run_config
from mmtrain.errors import TrainError

_RECORDED_PACKAGES = ("torch", "numpy", "numcodecs", "google-crc32c", "tensorstore", "scikit-learn")


NAMED_TARGETS = 3
"""A run of more is named after the first two, for file systems have names of 255 bytes."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Where the parts of one run lie."""

    path: Path

    @property
    def run_id(self) -> str:
        """Name of the run."""
        return self.path.name

    @property
    def config(self) -> Path:
        """Settings and the versions of what computed."""
        return self.path / "config.json"

    @property
    def execution(self) -> Path:
        """Where the run computes and reads, for the ranks that `mm train --gpus` started last."""
        return self.path / "execution.json"

    @property
    def cohort(self) -> Path:
        """The frozen samples."""
        return self.path / "cohort.parquet"

    @property
    def metrics(self) -> Path:
        """Validation and test metrics; its existence says that the run is finished."""
        return self.path / "metrics.json"

    @property
    def epochs(self) -> Path:
        """One line for each epoch."""
        return self.path / "metrics.jsonl"

    @property
    def predictions(self) -> Path:
        """Truth and prediction of every validation and test sample."""
        return self.path / "predictions.parquet"

    @property
    def training_predictions(self) -> Path:
        """Truth and prediction of every training sample, for attacks; runs of older versions lack it."""
        return self.path / "training_predictions.parquet"

    @property
    def privacy(self) -> Path:
        """What attacks on the run came to; there only after `mm privacy`."""
        return self.path / "privacy.json"

    @property
    def withdrawn(self) -> Path:
        """How many of the cohort have withdrawn since; there only if some have."""
        return self.path / "withdrawn.json"

    @property
    def model(self) -> Path:
        """Weights of the best epoch."""
        return self.path / "model.safetensors"

    @property
    def model_card(self) -> Path:
        """What the weights expect as input and what their output means."""
        return self.path / "model.json"

    @property
    def embeddings(self) -> Path:
        """What the imaging network makes of the volumes of samples; there only where a run has this one as trunk."""
        return self.path / "embeddings.safetensors"

    @property
    def checkpoint(self) -> Path:
        """State after the last checkpoint."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def plots(self) -> Path:
        """Pictures."""
        return self.path / "plots"

    @property
    def report(self) -> Path:
        """The page about the run; it tells of no single person."""
        return self.path / "report.html"

    @property
    def internal_report(self) -> Path:
        """The page that shows single people; there only if it was asked for."""
        return self.path / "report-internal.html"

    @property
    def tensorboard(self) -> Path:
        """Event files."""
        return self.path / "tensorboard"

    @property
    def mlflow(self) -> Path:
        """Which run of an MLflow server this is; there only with `--log mlflow:URI`."""
        return self.path / "mlflow.json"


@dataclass(frozen=True, slots=True)
class _RunRecord:
    """What config.json holds, as far as it is read again."""

    train: dict[str, Any]


def create_run(
    runs: Path,
    config: RunConfig,
    *,
    findings: Sequence[Mapping[str, Any]] = (),
    preset: str | None = None,
    comparable: Mapping[str, Any] | None = None,
    taken: Collection[str] = (),
    put_on_record: Callable[[RunDirectory], None] = lambda _: None,
) -> RunDirectory:
    """Make the directory of a new run, named after its target, its inputs and the time; a wiring check is marked.

    Parameters
    ----------
    findings
        What the audit of the labels found and the user accepted, for the record.
    preset
        Named set of settings that the run was asked for with, for the record.
    comparable
        Hashes of what must be equal of runs whose scores are compared, for the record.
    taken
        Names of runs that lie in other folders.
    put_on_record
        Called when the run has its name, and nothing in its directory yet.
    """
    asked = {"preset": preset} if preset else {}
    names = [target.name for target in config.data.targets]
    targets = "-".join(names if len(names) <= NAMED_TARGETS else [*names[:2], f"and-{len(names) - 2}-more"])
    mark = "diagnostic_" if config.data.diagnostic else ""
    stem = f"{mark}{targets}_{'-'.join(config.data.inputs)}_{datetime.now(UTC):%Y%m%d-%H%M%S}"
    make_directory(runs)
    for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
        path = runs / (stem + suffix)
        if path.name in taken:
            continue
        try:
            path.mkdir(mode=PRIVATE_FOLDER_MODE)
        except FileExistsError:
            continue
        run = RunDirectory(path)
        try:
            put_on_record(run)
        except BaseException:
            path.rmdir()
            raise
        sync_directory(runs)
        for part in ("checkpoints", "plots", "tensorboard"):
            make_directory(path / part)
        record = {
            **asked,
            "train": config.to_json(),
            "environment": environment(),
            "audit": list(findings),
            "comparable": dict(comparable or {}),
        }
        write_json(run.config, record)
        return run
    raise TrainError(f"A thousand runs were started in one second in {runs}.")


def list_runs(runs: Path) -> list[RunDirectory]:
    """Return every run, finished or not, by name."""
    return [RunDirectory(path) for path in sorted(runs.glob("*")) if path.is_dir()]


def pages_of(run: RunDirectory) -> list[Path]:
    """Return every file there is that shows what came out of a run: pages, pictures, attacks and drafts of them."""
    pages = (run.report, run.internal_report, run.privacy)
    drafts = map(draft_of, pages)
    pictures = sorted(run.plots.glob("*")) if run.plots.is_dir() and not run.plots.is_symlink() else []
    return [path for path in (*pages, *drafts, *pictures) if path.is_file() or path.is_symlink()]


def remove_pages(run: RunDirectory) -> None:
    """Remove the pages and pictures of a run, and what attacks came to."""
    for path in pages_of(run):
        path.unlink(missing_ok=True)


def find_run(runs: Path, run_id: str, *, others: Collection[str] = ()) -> tuple[RunDirectory, RunConfig]:
    """Return an existing run and its settings.

    Parameters
    ----------
    others
        Names of runs that lie in other folders, to be told where there is none of this name.

    Raises
    ------
    TrainError
        There is none of that name, it is a link to somewhere else, or its config.json cannot be used.
    """
    run = RunDirectory(runs / run_id)
    is_name = run_id not in ("", ".", "..") and Path(run_id).name == run_id
    if is_name and run.path.is_symlink():
        raise TrainError(
            f"Run {run_id!r} is a link, and mm writes to no run outside the study.", "Move its directory into runs."
        )
    if not (is_name and run.config.exists()):
        known = sorted({path.name for path in runs.glob("*") if path.is_dir()}.union(others))
        raise TrainError(f"There is no run {run_id!r}. Known runs: {', '.join(known) or 'none'}.")
    try:
        return run, parse_run_config(read_json(run.config, _RunRecord).train)
    except DamagedTextError as error:
        raise TrainError(
            f"config.json of run {run.run_id} is damaged ({error}), so it is not known how it was to be trained.",
            "Put the file back from a backup, or start the run again.",
        ) from error


def read_table(path: Path) -> pl.DataFrame:
    """Return a table of a run: its cohort or its predictions.

    Raises
    ------
    TrainError
        It is not there or damaged.
    """
    try:
        return pl.read_parquet(path, memory_map=False)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise TrainError(f"{path.name} of run {path.parent.name} cannot be read: {first_line(error)}.") from error


def write_execution(run: RunDirectory, execution: ExecutionConfig) -> None:
    """Tell the ranks of a run where to compute and read."""
    write_json(run.execution, asdict(execution))


def read_execution(run: RunDirectory) -> ExecutionConfig:
    """Return what `write_execution` told.

    Raises
    ------
    TrainError
        It is there and cannot be used, or is not there.
    """
    try:
        return parse_execution(read_json(run.execution, dict[str, Any]))
    except (OSError, DamagedTextError) as error:
        raise TrainError(f"{run.execution} cannot be read: {error}.", "Resume it with mm train --resume.") from error


@contextmanager
def hold_run(run: RunDirectory) -> Iterator[None]:
    """Keep others from training the same run while a block lasts; a kill lets go too.

    Raises
    ------
    TrainError
        Another process trains it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(run.checkpoint.parent / "lock"))
        except LockHeldError as error:
            raise TrainError(
                f"Run {run.run_id} is being trained already, by process {error.holder}.", "Wait for it to end."
            ) from error
        yield


def environment() -> dict[str, str]:
    """Return the versions of what computes, as far as the distributions here tell them."""
    return {"python": platform.python_version(), "mm": VERSION, **{name: _version(name) for name in _RECORDED_PACKAGES}}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
