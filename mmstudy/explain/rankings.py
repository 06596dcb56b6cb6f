"""Rankings of inputs, features and regions as files: a table, and a picture of bars with intervals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmbase.names import CONNECTIVITY, METADATA, MODALITIES
from mmstudy.explain.maps import File, Words
from mmstudy.models.find import FoundModel
from mmtrain.drawing.ranking import draw_ranking
from mmtrain.explain.attribution import Attribution, Floats
from mmtrain.explain.ranking import RankedPart, rank_parts


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """Attributions of one kind of parts for N samples, each of shape (N, P)."""

    what: str
    """inputs, features or regions: the name of the files."""
    names: Sequence[str]
    values: Floats
    sizes: Floats
    """What the absolute value of each is taken to be."""


def parts_of(model: FoundModel, attributions: Sequence[Attribution]) -> Iterator[Parts]:
    """Yield what can be ranked of a model's attributions."""
    inputs = _stack([part.inputs_BI for part in attributions])
    names = (*model.card.shape.volumes, *([CONNECTIVITY] if model.card.shape.num_edges else []))
    names += (METADATA,) if model.card.shape.num_features else ()
    if inputs is not None and len(names) > 1:
        titles = [MODALITIES[name].title if name in MODALITIES else name for name in names]
        yield Parts(what="inputs", names=titles, values=inputs, sizes=np.abs(inputs))
    features = _stack([part.features_BF for part in attributions])
    if features is not None:
        named = model.card.features.shown_names
        yield Parts(what="features", names=named, values=features, sizes=np.abs(features))
    regions, sizes = (_stack([getattr(part, name) for part in attributions]) for name in _OF_REGIONS)
    if regions is not None and sizes is not None:
        kind = model.contract.connectivity.name if model.contract.connectivity is not None else "region"
        numbered = [f"{kind} {number}" for number in range(1, regions.shape[1] + 1)]
        yield Parts(what="regions", names=numbered, values=regions, sizes=sizes)


_OF_REGIONS = ("regions_BR", "region_sizes_BR")


def _stack(parts: Sequence[Floats | None]) -> Floats | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None


def rank(parts: Parts, participants: NDArray[np.int64], seed: int) -> list[RankedPart]:
    """Return parts by their mean absolute attribution, the largest first."""
    return rank_parts(parts.names, parts.values, parts.sizes, participants, seed)


def files_of_ranking(words: Words, what: str, ranked: Sequence[RankedPart], num_people: int) -> Iterator[File]:
    """Yield the table and the picture of a ranking over people."""
    table = pl.DataFrame(
        {
            "rank": range(1, len(ranked) + 1),
            "name": [part.name for part in ranked],
            "mean_absolute": [part.mean_size for part in ranked],
            "low": [None if part.interval is None else part.interval[0] for part in ranked],
            "high": [None if part.interval is None else part.interval[1] for part in ranked],
            "mean": [part.mean for part in ranked],
        }
    )
    yield f"{what}.csv", table.write_csv().encode()
    title = f"Which {what} the model of {words.target} used"
    yield f"{what}.png", draw_ranking(ranked, title, words.subtitle(num_people), words.unit)


def file_of_sample(parts: Parts) -> File:
    """Return the table of one sample's attributions, the largest first."""
    table = pl.DataFrame({"name": list(parts.names), "attribution": parts.values[0], "absolute": parts.sizes[0]})
    return f"{parts.what}.csv", table.sort("absolute", descending=True).write_csv().encode()
