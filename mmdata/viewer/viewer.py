"""Volumes to look through in a page: NiiVue, and the volumes in the page as NIfTI of 256 steps.

A page that holds the viewer holds its markup, its style, and its scripts with the volumes. Nothing of it asks anybody:
`mmbase.sealed_page`. A viewer within an element `details` begins when that is opened.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from mmbase.sealed_page import embedded_json
from mmdata.volume.geometry import Matrix44

LIBRARY = "vendor/niivue.umd.js"
"""Of 0.69.0, as it was published; ADR 24."""
LICENCE = "vendor/niivue.LICENSE"
_STEPS = "uint8"
"""A screen shows no more shades of grey."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownMean:
    """What volumes are shown beside."""

    picture: bytes
    """Of `encode_picture`."""
    num_averaged: int
    """Scans that it is over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownVolume:
    """One volume that can be chosen."""

    title: str
    picture: bytes
    """Of `encode_picture`."""
    modality: str
    """Whose mean is shown beside it, where there is one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """What a page takes into its template."""

    markup: Markup
    """Of the place where volumes are shown."""
    scripts: tuple[str, str]
    """The library, then the viewer's own script, which reads the content."""
    content: Markup
    """JSON for the script element `volumes`."""
    licence: str


def encode_picture(fractions_XYZ: NDArray[np.floating], affine_44: Matrix44) -> bytes:
    """Encode a volume as it is shown: fractions of the scan's upper clamp, 0 to 1, in steps of 1/255."""
    from mmdata.volume.nifti import encode_stored  # noqa: PLC0415 - loads image libraries, which a report does without
    from mmdata.volume.preprocess import quantise  # noqa: PLC0415 - loads image libraries, which a report does without

    steps = quantise(fractions_XYZ.astype(np.float32), _STEPS)
    return encode_stored(steps, affine_44, scale=1 / np.iinfo(_STEPS).max)


def make_viewer(volumes: Sequence[ShownVolume], means: Mapping[str, ShownMean], *, choice: str, whose: str) -> Viewer:
    """Return a viewer of some volumes.

    Parameters
    ----------
    volumes
        At least one; the first is shown first.
    means
        By modality.
    choice
        What a volume is chosen by, a word.
    whose
        What is written above the volume that was chosen.
    """
    content = {
        "volumes": [
            {"title": volume.title, "picture": _text_of(volume.picture), "modality": volume.modality}
            for volume in volumes
        ],
        "means": {
            modality: {"picture": _text_of(mean.picture), "num_averaged": mean.num_averaged}
            for modality, mean in means.items()
        },
    }
    environment = Environment(loader=PackageLoader(__package__, "."), autoescape=True, undefined=StrictUndefined)
    markup = environment.get_template("viewer.html.j2").render(choice=choice, whose=whose)
    return Viewer(
        markup=Markup(markup),
        scripts=(read_part(LIBRARY), read_part("viewer.js")),
        content=Markup(embedded_json(content)),
        licence=read_part(LICENCE),
    )


@cache
def read_part(name: str) -> str:
    """Return the text of a file of this package."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _text_of(picture: bytes) -> str:
    return base64.b64encode(picture).decode()
