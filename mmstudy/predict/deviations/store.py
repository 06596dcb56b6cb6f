"""Hold the arrays of a study against those that a model was trained on, by what they say of themselves."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mmbase.names import CONNECTIVITY
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.deviations.names import deviation
from mmtrain.models.card import ModelCard

Attributes = Mapping[str, Any]
_SAME_MM = 0.01
_AGAIN = "Ingest the scans into a study with the model's settings."


def find_store_deviations(card: ModelCard, attributes: Mapping[str, Attributes]) -> list[Deviation]:
    """Return in what a study's arrays differ from what a model takes for granted.

    Parameters
    ----------
    attributes
        Modality to the attributes of its array, for those of the model's inputs that the study has. A volume's is the
        array of the model's side.
    """
    return [
        found
        for modality, expected in card.stores.items()
        if modality in attributes
        for found in (_of_edges if modality == CONNECTIVITY else _of_volumes)(
            modality, expected, attributes[modality], card.shape.side
        )
    ]


def _of_volumes(modality: str, expected: Attributes, got: Attributes, side: int) -> Iterator[Deviation]:
    yield from _different("other-space", modality, "space", expected.get("space"), got.get("space"))
    yield from _of_grid(modality, expected, got, side)
    wanted, made = expected.get("preprocessing", {}), got.get("preprocessing", {})
    for name, key, words in (
        ("clamp-region", "clamp_region", "intensities cut off at percentiles of the"),
        ("clamp-percentiles", "clamp_percentiles", "intensities cut off at the percentiles"),
        ("other-diffusion-map", f"{modality}_map", "the map"),
        ("other-sampling", "interpolation", "interpolation"),
    ):
        yield from _different(name, modality, words, wanted.get(key), made.get(key))


def _of_grid(modality: str, expected: Attributes, got: Attributes, side: int) -> Iterator[Deviation]:
    """Compare the grids; an axis that runs the other way is no difference, for whoever feeds the model turns it."""
    if "affine_ras" not in expected or "affine_ras" not in got:
        return
    wanted, made = _span(expected["affine_ras"], side), _span(got["affine_ras"], side)
    if not np.allclose(wanted, made, atol=_SAME_MM):
        yield deviation("other-grid", modality, expected=_told_span(wanted), got=_told_span(made), remedy=_AGAIN)


def _of_edges(modality: str, expected: Attributes, got: Attributes, side: int) -> Iterator[Deviation]:
    for name, key in (
        ("other-parcellation", "parcellation"),
        ("other-parcellation", "edges"),
        ("other-measure", "measure"),
    ):
        yield from _different(name, modality, key, expected.get(key), got.get(key))


def _different(name: str, modality: str, words: str, expected: Any, got: Any) -> Iterator[Deviation]:
    """Yield the mismatch of what two arrays say; what a model's card leaves out is not known to differ."""
    if expected is not None and got is not None and _plain(expected) != _plain(got):
        yield deviation(name, modality, expected=f"{words} {_plain(expected)}", got=_plain(got), remedy=_AGAIN)


def _plain(value: Any) -> str:
    return " to ".join(f"{part:g}" for part in value) if isinstance(value, list | tuple) else str(value)


def _span(affine_ras: Any, side: int) -> np.ndarray[Any, Any]:
    """Return the corners of a grid's cube, lowest and highest in mm, shape (2, 3), whichever way its axes run."""
    affine_44 = np.asarray(affine_ras, np.float64)
    steps_3 = np.abs(affine_44[:3, :3]).sum(axis=1) / 2
    ends = affine_44[:3, 3], affine_44[:3, :3] @ np.full(3, side - 1.0) + affine_44[:3, 3]
    return np.stack([np.minimum(*ends) - steps_3, np.maximum(*ends) + steps_3])


def _told_span(span_23: np.ndarray[Any, Any]) -> str:
    low, high = span_23
    sizes = " x ".join(f"{size:.1f}" for size in high - low)
    return f"a cube of {sizes} mm around ({', '.join(f'{middle:.1f}' for middle in (low + high) / 2)})"
