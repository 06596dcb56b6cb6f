"""What a trunk makes of the volumes of samples, as a file beside its run.

Everybody's numbers are found by row, and the file says what it was made from. It is made again where that differs, and
goes with a withdrawal: it needs nothing but the volumes to be made again. Needs no PyTorch.

Legend of shapes: N samples, D numbers of an embedding, M modalities.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from mmbase.checksums import is_unchanged, write_checked
from mmbase.files import to_json
from mmbase.json_text import DamagedTextError, parse_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What embeddings were made from."""

    weights: str
    """Digest of the file of the trunk's weights."""
    stores: dict[str, dict[str, Any]]
    """Modality to the attributes of its array: grid, space, intensity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Embeddings:
    """The embeddings of some samples."""

    origin: Origin
    rows: NDArray[np.int64]
    """Shape (N,), rising."""
    values_ND: NDArray[np.float32]
    checksums_NM: NDArray[np.uint64]
    """Of the stored volumes that they were made from, modalities in the order of `Origin.stores`."""

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the embeddings of rows, all of which it has, in their order."""
        values: NDArray[np.float32] = self.values_ND[np.searchsorted(self.rows, rows)]
        return values

    def lacking(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows that it does not have, rising."""
        return np.setdiff1d(rows, self.rows)

    def joined(self, others: "Embeddings") -> "Embeddings":
        """Return the embeddings of both, which have no row in common."""
        rows = np.concatenate([self.rows, others.rows])
        order = np.argsort(rows)
        return Embeddings(
            origin=self.origin,
            rows=rows[order],
            values_ND=np.concatenate([self.values_ND, others.values_ND])[order],
            checksums_NM=np.concatenate([self.checksums_NM, others.checksums_NM])[order],
        )


def write_embeddings(path: Path, embeddings: Embeddings) -> None:
    """Write embeddings in one step, and their checksum."""
    tensors: dict[str, NDArray[Any]] = {
        "rows": embeddings.rows,
        "values": embeddings.values_ND,
        "checksums": embeddings.checksums_NM,
    }
    write_checked(path, save(tensors, metadata={"origin": to_json(asdict(embeddings.origin)).decode()}))


def read_embeddings(path: Path) -> Embeddings | None:
    """Return the embeddings in a file; None where there is none, or where it is damaged: it can be made again."""
    if not (path.exists() and is_unchanged(path)):
        return None
    try:
        content = path.read_bytes()
        with safe_open(path, framework="numpy") as file:
            header: Mapping[str, str] = file.metadata() or {}
        tensors = load(content)
        return Embeddings(
            origin=parse_json(header["origin"], Origin),
            rows=tensors["rows"],
            values_ND=tensors["values"],
            checksums_NM=tensors["checksums"],
        )
    except (OSError, SafetensorError, KeyError, DamagedTextError):
        return None


def count_embedded(path: Path, rows: Collection[int]) -> int:
    """Return how many of some rows a file of embeddings has; 1 at least where it is damaged, for it may have any."""
    if not path.exists():
        return 0
    embeddings = read_embeddings(path)
    return 1 if embeddings is None else int(np.isin(embeddings.rows, sorted(rows)).sum())
