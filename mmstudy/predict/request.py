"""What is asked of a prediction."""

from dataclasses import dataclass, field
from pathlib import Path

from catalog.export.files import require_writable
from mmbase.names import SPLITS
from mmbase.suggestion import did_you_mean
from mmdata.errors import StudyError
from mmdata.study import Study
from mmdata.volume.settings import IngestSettings
from mmstudy.models.place import locate_model
from mmstudy.predict.deviations.names import NAMES

DEFAULT_LEVEL = 0.9
DEFAULT_BATCH_SIZE = 16
ALL_SPLITS = "all"
SUFFIXES = (".csv", ".parquet")
"""Of the file that is written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictRequest:
    """What is to be predicted with which models, and how."""

    models: tuple[str, ...]
    """Names for `mmstudy.models.find.find_model`; the predictions of several are averaged."""
    sources: tuple[str, ...] = field(default=(), repr=False)
    """Words for `mmstudy.predict.sources.parse_sources`; none: samples of the study."""
    output: Path
    tables: tuple[Path, ...] = ()
    split: str = ALL_SPLITS
    """Of the study's samples."""
    sample_list: Path | None = None
    """Of the study's samples."""
    ingest: IngestSettings = field(default_factory=IngestSettings)
    """What is done for scans without a mask or a transform."""
    workers: int = 0
    device: str = "auto"
    batch_size: int = DEFAULT_BATCH_SIZE
    level: float = DEFAULT_LEVEL
    """Share of new samples that intervals are to cover."""
    allowed: frozenset[str] = frozenset()
    """Names of deviations that are only warned of."""
    identify: bool = False
    """Write the source's own identifiers."""
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise StudyError(f"Expected a level between 0 and 1, got {self.level:g}.", "Give --level 0.9.")
        if self.split not in (ALL_SPLITS, *SPLITS):
            raise StudyError(f"Expected the split to be {', '.join(SPLITS)} or {ALL_SPLITS}, got {self.split!r}.")
        if not all(self.models):
            raise StudyError("A model has no name.", "Name one, or several with a comma between them.")
        if len(set(self.models)) < len(self.models):
            raise StudyError("A model is named twice.", "Name each once: their predictions are averaged.")
        for name in self.allowed:
            if name not in NAMES:
                raise StudyError(
                    f"--allow {name}: there is no deviation of this name.{did_you_mean(name, NAMES)}",
                    f"There are {', '.join(NAMES)}.",
                )
        of_study = self.split != ALL_SPLITS or self.sample_list is not None
        if self.sources and of_study:
            raise StudyError(
                "--split and --sample-list choose samples of the study, and sources of new people are given."
            )
        if self.tables and not self.sources:
            raise StudyError("--table is of new people: what the study's tables say is in its catalogue.")


def require_feasible(study: Study | None, request: PredictRequest) -> None:
    """Refuse a file that cannot be written, and a request for nobody or of no model; loads nothing for it.

    Raises
    ------
    CatalogError
        The file cannot be written.
    StudyError
        There is neither a study nor a source.
    TrainError
        There is no model of a name.
    """
    require_writable(request.output, SUFFIXES, overwrite=request.overwrite)
    if study is None and not request.sources:
        raise StudyError(
            "There is no study here to predict samples of, and no source was named.",
            "Name the study with --study DIR, or new people: ukb:DIR, bids:DIR, folder:DIR or t1=FILE.nii.gz.",
        )
    for name in request.models:
        locate_model(study, name)
