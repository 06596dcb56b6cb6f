"""A page that shows the volumes of one sample beside the mean of others, in three planes and in depth.

Volumes lie in the page as NIfTI of 256 steps, which NiiVue shows. The page loads nothing and asks nobody:
`mmbase.sealed_page`. It shows one person, so it is as confidential as the study.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from numpy.typing import NDArray

from mmbase.sealed_page import embedded_json, page_policy
from mmbase.version import VERSION
from mmdata.volume.geometry import Matrix44
from mmdata.volume.nifti import encode_stored
from mmdata.volume.preprocess import quantise

LIBRARY = "vendor/niivue.umd.js"
"""Of 0.69.0, as it was published; ADR 24."""
LICENCE = "vendor/niivue.LICENSE"
_STEPS = "uint8"
"""A screen shows no more shades of grey."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A volume that is shown."""

    fractions_XYZ: NDArray[np.float32]
    """Of the scan's upper clamp, 0 to 1."""
    affine_44: Matrix44
    """Voxel to world, RAS+ mm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewedVolume:
    """One modality of the sample, and what it is shown beside."""

    title: str
    sample: Picture
    mean: Picture | None
    """Of other samples; None where there are none."""
    num_averaged: int
    """Samples that the mean is over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewedSample:
    """What a page shows."""

    sample_id: str
    grid: str
    """Where the volumes lie, a sentence."""
    volumes: Sequence[ViewedVolume]
    """At least one; the first is shown first."""
    lacking: Sequence[str] = ()
    """What is said of the modalities that are not stored, a sentence each."""


def viewer_page(sample: ViewedSample) -> bytes:
    """Return the page of a sample; equal content gives equal bytes."""
    library, script, style = _text(LIBRARY), _text("viewer.js"), _text("viewer.css")
    page = _template().render(
        sample_id=sample.sample_id,
        grid=sample.grid,
        lacking=sample.lacking,
        policy=page_policy((library, script), style),
        library=Markup(library),
        script=Markup(script),
        style=Markup(style),
        licence=_text(LICENCE),
        content=Markup(embedded_json({"volumes": list(map(_embedded, sample.volumes))})),
        version=VERSION,
    )
    return page.encode()


def _embedded(volume: ViewedVolume) -> dict[str, str | int | None]:
    return {
        "title": volume.title,
        "sample": _nifti(volume.sample),
        "mean": volume.mean and _nifti(volume.mean),
        "num_averaged": volume.num_averaged,
    }


def _nifti(picture: Picture) -> str:
    steps = quantise(picture.fractions_XYZ, _STEPS)
    return base64.b64encode(encode_stored(steps, picture.affine_44, scale=1 / np.iinfo(_STEPS).max)).decode()


@cache
def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")
