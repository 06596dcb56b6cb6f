"""A page that shows the volumes of one sample beside the mean of others, in three planes and in depth.

It shows one person, so it is as confidential as the study.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mmbase.sealed_page import page_policy
from mmbase.version import VERSION
from mmdata.viewer.viewer import ShownMean, ShownVolume, make_viewer, read_part


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewedSample:
    """What a page shows."""

    sample_id: str
    grid: str
    """Where the volumes lie, a sentence."""
    volumes: Sequence[ShownVolume]
    """At least one; the first is shown first."""
    means: Mapping[str, ShownMean] = field(default_factory=dict)
    """Of other samples, by modality."""
    lacking: Sequence[str] = ()
    """What is said of the modalities that are not stored, a sentence each."""


def viewer_page(sample: ViewedSample) -> bytes:
    """Return the page of a sample; equal content gives equal bytes."""
    viewer = make_viewer(sample.volumes, sample.means, choice="Modality", whose="This sample")
    style = read_part("page.css") + read_part("viewer.css")
    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.j2").render(
        sample=sample,
        viewer=viewer,
        scripts=list(map(Markup, viewer.scripts)),
        style=Markup(style),
        policy=page_policy(viewer.scripts, style),
        version=VERSION,
    )
    return page.encode()
