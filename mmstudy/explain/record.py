"""What explanation.json says of every explanation, and what users should know before they believe it."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from mmbase.names import CONNECTIVITY, METADATA
from mmstudy.explain.maps import Words
from mmstudy.explain.request import ExplainRequest
from mmtrain.drawing.attributions import HONEST
from mmtrain.explain.attribution import Attribution
from mmtrain.explain.completeness import TOLERANCE, Completeness
from mmtrain.explain.groups import Groups
from mmtrain.models.card import ModelCard
from mmtrain.run import environment

EXPLANATION_VERSION = 1


def describe(
    request: ExplainRequest, words: Words, baseline: float, completeness: Completeness | None
) -> dict[str, Any]:
    """Return what explanation.json says of every explanation."""
    card, settings = words.model.card, request.settings
    size = {"cube_voxels": words.explainer.cube if card.shape.volumes else None}
    method = {"method": settings.method, **(size if words.is_occlusion else {"steps": settings.steps})}
    return {
        "schema_version": EXPLANATION_VERSION,
        "model": words.model.name,
        "network": card.network,
        "target": words.target,
        "unit": words.unit,
        "map_unit": words.map_unit if card.shape.volumes else None,
        **method,
        "baseline": _describe_baseline(card, request),
        "baseline_output": baseline,
        "completeness": None if completeness is None else _describe_completeness(completeness),
        "seed": request.seed,
        "meaning": HONEST,
        "versions": {**environment(), "captum": version("captum")},
    }


def _describe_baseline(card: ModelCard, request: ExplainRequest) -> dict[str, str]:
    baseline = dict.fromkeys(card.shape.volumes, "background, -1")
    if card.shape.num_edges:
        baseline[CONNECTIVITY] = "0" if request.edges_baseline == "zero" else "mean of the training split"
    if card.shape.num_features:
        baseline[METADATA] = "means of the training split, none missing"
    return baseline


def _describe_completeness(completeness: Completeness) -> dict[str, Any]:
    return {"error": completeness.error, "tolerance": TOLERANCE, "converged": completeness.has_converged}


def notes_of(attributions: Sequence[Attribution], completeness: Completeness | None) -> Iterator[str]:
    """Yield what is to be known of some attributions, a sentence each."""
    if all(attribution.is_zero for attribution in attributions):
        yield "Every attribution is 0: this model answers the same whatever its inputs are."
    if completeness is not None and not completeness.has_converged:
        yield (
            f"The attributions miss what they should add up to by {100 * completeness.error:.1f} %, more than "
            f"{100 * TOLERANCE:.0f} %: give more --steps."
        )


def notes_of_groups(groups: Groups) -> Iterator[str]:
    """Yield which groups are not told."""
    if groups.hidden:
        yield (
            f"Not told, for fewer than ten people are in them or could be counted by subtraction: "
            f"{', '.join(groups.hidden)}."
        )
