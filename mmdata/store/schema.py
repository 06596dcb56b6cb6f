"""The study on disk: what lies where, and the words its arrays describe themselves with.

This is the public contract between what writes a study and what reads one, so it holds names and paths only.
"""

from dataclasses import dataclass
from pathlib import Path

from mmbase.names import CONNECTIVITY
from mmdata.store.location import Location

SCHEMA_VERSION = 1
"""Version of everything in a study directory; readers refuse any other."""

VOLUME_DIMENSIONS = ("sample", "x", "y", "z")
AUGMENTED_DIMENSIONS = ("copy", *VOLUME_DIMENSIONS)
EDGE_DIMENSIONS = ("sample", "edge")

FIRST_AUGMENTED_COPY = 1
"""Index 0 of an augmented array holds copy 1: copy 0 is the volume itself, in `volumes.zarr`."""


@dataclass(frozen=True, slots=True)
class StudyLayout:
    """Where the parts of one study lie."""

    root: Path
    stores: Location | None = None
    """What holds the copies of `volumes.zarr` and `augmented.zarr` that are to be read; None: the study itself."""

    def located(self, path: Path) -> Location:
        """Return where to read an array of this study.

        >>> from mmdata.store.location import parse_location
        >>> layout = StudyLayout(Path("/study"), parse_location("s3://cohort/study"))
        >>> str(layout.located(layout.volume_array("t1", 64)))
        's3://cohort/study/volumes.zarr/t1/64'
        """
        return path if self.stores is None else self.stores / path.relative_to(self.root)

    @property
    def config(self) -> Path:
        """Settings an ingest depends on, and the secret salt."""
        return self.root / "study.toml"

    @property
    def catalog(self) -> Path:
        """The DuckDB file; the only file where an eid appears."""
        return self.root / "catalog.duckdb"

    @property
    def receipts(self) -> Path:
        """Append-only records of what was stored."""
        return self.root / "receipts"

    @property
    def volumes(self) -> Path:
        """Zarr group of the un-augmented arrays."""
        return self.root / "volumes.zarr"

    @property
    def augmented(self) -> Path:
        """Zarr group of the augmented copies."""
        return self.root / "augmented.zarr"

    @property
    def runs(self) -> Path:
        """One directory for each trained model."""
        return self.root / "runs"

    @property
    def sweeps(self) -> Path:
        """One directory for each sweep: its plan, and what became of its jobs."""
        return self.root / "sweeps"

    @property
    def models(self) -> Path:
        """Models that were trained elsewhere: one bundle's directory for each."""
        return self.root / "models"

    @property
    def audits(self) -> Path:
        """Answers of audits, to be used again; they may name samples, and can be removed without harm."""
        return self.root / "audits"

    @property
    def scratch(self) -> Path:
        """Images that are not kept, e.g. heads for a brain extractor; what a kill left goes with the next command."""
        return self.root / "scratch"

    @property
    def slurm(self) -> Path:
        """Logs of SLURM jobs, while they run."""
        return self.root / "slurm"

    @property
    def qc_page(self) -> Path:
        """The page of `mm qc`."""
        return self.root / "qc.html"

    @property
    def views(self) -> Path:
        """Pages of `mm view`, one for each sample; they show single people and can be made again."""
        return self.root / "views"

    def volume_array(self, modality: str, side: int) -> Path:
        """Array of shape (rows, side, side, side)."""
        return self.volumes / modality / str(side)

    def connectivity_array(self, name: str) -> Path:
        """Array of shape (rows, num_edges)."""
        return self.volumes / CONNECTIVITY / name

    def augmented_array(self, modality: str, side: int) -> Path:
        """Array of shape (copies, rows, side, side, side)."""
        return self.augmented / modality / str(side)
