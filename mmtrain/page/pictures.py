"""The pictures of a run by name, as they stand on its page and in its folder `plots`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmbase.disclosure import SMALLEST_COUNT
from mmbase.files import write_bytes
from mmtrain.drawing.curves import draw_losses, draw_metric, draw_speed
from mmtrain.drawing.figures import Picture, to_png, to_svg
from mmtrain.drawing.memberships import draw_memberships
from mmtrain.page.facts import RunFacts, TargetFacts
from mmtrain.targets.registry import load_kind


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture, drawn once for the page and for its file."""

    picture: Picture
    svg: bytes


@dataclass(frozen=True, slots=True)
class RunPictures:
    """All pictures of a run by name."""

    of_run: Mapping[str, Drawn]
    """Those that all targets share."""
    of_targets: Mapping[str, Mapping[str, Drawn]]
    """Name of each target to its own."""


def draw_pictures(facts: RunFacts, *, exact: bool) -> RunPictures:
    """Draw what there is to be drawn of a run."""
    return RunPictures(
        _drawn(epoch_pictures(facts)),
        {target.name: _drawn(target_pictures(facts, target, exact=exact)) for target in facts.targets},
    )


def epoch_pictures(facts: RunFacts) -> dict[str, Picture]:
    """Return the pictures that all targets share: losses and speed."""
    if facts.best_epoch is None:
        return {}
    speed = draw_speed(facts.epochs)
    return {"loss": draw_losses(facts.epochs, facts.best_epoch), **({"speed": speed} if speed else {})}


def target_pictures(facts: RunFacts, target: TargetFacts, *, exact: bool) -> dict[str, Picture]:
    """Return the pictures of one target: its validation metric and, once it is tested, its predictions and attacks.

    The metrics of epochs are of everybody who was there: after a withdrawal, beside those of who is left, they would
    tell of who has gone.
    """
    return {
        **_metric_picture(facts, target),
        **prediction_pictures(target, exact=exact),
        **_privacy_picture(facts, target),
    }


def prediction_pictures(target: TargetFacts, *, exact: bool) -> dict[str, Picture]:
    """Return the pictures of the test split; none before it is tested."""
    predicted = target.predicted.get("test")
    if predicted is None or not len(predicted.truth) or not np.isfinite(predicted.prediction).all():
        return {}
    return load_kind(target.kind).draw(predicted, target.title, threshold=target.threshold, exact=exact)


def write_plots(folder: Path, pictures: RunPictures) -> None:
    """Write every picture of a run as PNG and as SVG."""
    for name, drawn in _named(pictures):
        write_bytes(folder / f"{name}.svg", drawn.svg)
        write_bytes(folder / f"{name}.png", to_png(drawn.picture.figure))


def _named(pictures: RunPictures) -> Iterator[tuple[str, Drawn]]:
    """Yield every picture with the name of its file: with several targets, the target's name comes last."""
    yield from pictures.of_run.items()
    for target, of_target in pictures.of_targets.items():
        for name, drawn in of_target.items():
            yield (name if len(pictures.of_targets) == 1 else f"{name}_{target}"), drawn


def _drawn(pictures: Mapping[str, Picture]) -> dict[str, Drawn]:
    return {name: Drawn(picture, to_svg(picture.figure)) for name, picture in pictures.items()}


def _privacy_picture(facts: RunFacts, target: TargetFacts) -> dict[str, Picture]:
    found = facts.privacy_of(target.name)
    return {"privacy": draw_memberships(found)} if found is not None and found.attacks else {}


def _metric_picture(facts: RunFacts, target: TargetFacts) -> dict[str, Picture]:
    held_out = target.counts.get("val")
    if facts.best_epoch is None or facts.withdrawn or (held_out is not None and held_out.participants < SMALLEST_COUNT):
        return {}
    name = target.main_metric
    key = name if len(facts.targets) == 1 else f"{target.name}.{name}"
    picture = draw_metric(facts.epochs, facts.best_epoch, name, key)
    return {} if picture is None else {"metric": picture}
