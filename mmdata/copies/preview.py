"""A contact sheet of what augmentation does to one sample: its volumes, each kind of change alone, and whole copies.

A kind alone is drawn several times, three times as strong as the settings have it where it moves voxels and twice
otherwise, and of each modality the draw that changes most is shown: at the settings' own amounts most kinds are hard
to see.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmdata.augment.apply import augment_batch
from mmdata.augment.parameters import GEOMETRY_KINDS, KINDS, LARGEST_AMOUNTS, AugmentSettings
from mmdata.augment.recipe import draw_geometry, draw_intensity
from mmdata.qc.planes import Plane, centre_planes
from mmdata.volume.preprocess import as_fractions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHOLE_COPIES = 3
_DRAWS = 4
_STRONGER_GEOMETRY, _STRONGER = 3.0, 2.0
_COLUMNS_ABREAST = 11
_CELL_INCHES, _TITLE_INCHES, _LABEL_INCHES, _MARGIN_INCHES = 1.25, 0.4, 0.36, 0.5
_DPI = 130
_BACKGROUND, _INK, _GREY = "#0b0d10", "#e8eaed", "#9aa0a8"


@dataclass(frozen=True, slots=True)
class PreviewColumn:
    """One column of the sheet."""

    label: str
    volumes: Mapping[str, NDArray[np.float32]]
    """Modality to volume, 0 to 1."""


def preview_columns(
    stored: Mapping[str, NDArray[Any]], settings: AugmentSettings, seed: int, sample_id: str, extent_mm: float
) -> Iterator[PreviewColumn]:
    """Yield the volumes as they are, then with each kind of change alone, then whole copies."""
    volumes = torch.from_numpy(np.stack([as_fractions(volume_XYZ) for volume_XYZ in stored.values()]))
    names = tuple(stored)

    def column(label: str, shown: torch.Tensor) -> PreviewColumn:
        return PreviewColumn(label, dict(zip(names, shown.numpy(), strict=True)))

    def drawn(with_settings: AugmentSettings, copy: int) -> torch.Tensor:
        geometry = draw_geometry(with_settings, seed, sample_id, copy)
        recipes = [draw_intensity(with_settings, seed, sample_id, copy, name) for name in names]
        return augment_batch(volumes[None], [geometry], [recipes], extent_mm)[0]

    yield column("as stored", volumes)
    for kind in KINDS:
        alone = kind_alone(settings, kind)
        changed = torch.stack([drawn(alone, copy) for copy in range(1, _DRAWS + 1)])
        most = (changed - volumes).abs().flatten(2).sum(dim=2).argmax(dim=0)
        yield column(kind.replace("_", " "), changed[most, torch.arange(len(names))])
    for copy in range(1, WHOLE_COPIES + 1):
        yield column(f"copy {copy}", drawn(settings, copy))


def kind_alone(settings: AugmentSettings, kind: str) -> AugmentSettings:
    """Return settings under which one kind always happens, strongly, and no other does."""
    factor = _STRONGER_GEOMETRY if kind in GEOMETRY_KINDS else _STRONGER
    amounts = {
        name: min(amount * factor, LARGEST_AMOUNTS.get(name, np.inf)) for name, amount in settings.amounts().items()
    }
    return replace(settings, probability=0.0, probabilities={kind: 1.0}, **amounts)  # type: ignore[arg-type]


def draw_sheet(columns: list[PreviewColumn], title: str) -> bytes:
    """Draw an axial and a sagittal plane of each volume, a row for each modality, as the bytes of a PNG file."""
    from matplotlib.figure import Figure

    modalities = list(columns[0].volumes)
    band_inches = 2 * len(modalities) * _CELL_INCHES + _LABEL_INCHES
    num_bands = -(-len(columns) // _COLUMNS_ABREAST)
    width = min(len(columns), _COLUMNS_ABREAST) * _CELL_INCHES + _MARGIN_INCHES
    height = num_bands * band_inches + _TITLE_INCHES
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=_BACKGROUND)
    figure.text(_MARGIN_INCHES / width, 1 - _TITLE_INCHES / 2 / height, title, color=_GREY, fontsize=9, va="center")
    for number, column in enumerate(columns):
        band, position = divmod(number, _COLUMNS_ABREAST)
        left = _MARGIN_INCHES + position * _CELL_INCHES
        top = height - _TITLE_INCHES - band * band_inches
        words: dict[str, Any] = {"color": _INK, "ha": "center", "va": "center"}
        figure.text((left + _CELL_INCHES / 2) / width, (top - _LABEL_INCHES / 2) / height, column.label, **words)
        for row, modality in enumerate(modalities):
            middle = top - _LABEL_INCHES - (2 * row + 1) * _CELL_INCHES
            if position == 0:
                figure.text(_MARGIN_INCHES / 2 / width, middle / height, modality, rotation=90, fontsize=12, **words)
            axial, _, sagittal = centre_planes(column.volumes[modality])
            for plane, bottom in ((axial, middle), (sagittal, middle - _CELL_INCHES)):
                size = (_CELL_INCHES * 0.98 / width, _CELL_INCHES * 0.98 / height)
                _show(figure, plane, (left / width, bottom / height, *size))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _show(figure: "Figure", plane: Plane, box: tuple[float, float, float, float]) -> None:
    axes = figure.add_axes(box)
    axes.imshow(plane, cmap="gray", vmin=0.0, vmax=1.0, interpolation="bilinear")
    axes.set_axis_off()
