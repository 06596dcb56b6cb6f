"""The card of a published checkpoint: what its weights say, and what whoever imports them says beside.

The network of the card has what was trained alone: an untrained block or channel is no input, so nothing can be fed to
it. The first convolution keeps the weights of all three channels, as in every model of this network.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from catalog.fields import Dictionary, find_target, shown_features
from mmbase.names import CONNECTIVITY, INPUTS, METADATA, VOLUME_MODALITIES
from mmbase.suggestion import did_you_mean
from mmtrain.config.data import TargetConfig
from mmtrain.data.scaling import FeatureScaler
from mmtrain.errors import TrainError
from mmtrain.models.card import ModelCard
from mmtrain.models.protocol import NetworkShape
from mmtrain.published.checkpoint import PublishedCheckpoint
from mmtrain.published.trained_inputs import TrainedInputs
from mmtrain.run import environment
from mmtrain.targets.kinds.regression import Kind as Regression
from mmtrain.targets.registry import kind_of_definition, load_kind
from mmtrain.targets.several import Targets

REFERENCE_COLUMNS = (
    *("sex", "age", "mood_swings", "miserableness", "irritability", "sensitivity", "fed_up", "nervous", "anxious"),
    *("tense", "worry", "lonely", "guilty", "handedness", "smoking", "hypertension", "atopy", "asthma", "Hb"),
    *("reaction_time", "weight", "body_fat", "hba1c", "HDL", "LDL"),
)
"""The 25 variables in the order of the dashboard, which is likely to be that of the columns of metadata: all but
the target."""
SCALED_UNIT = "scaled, -1 to 1"
"""Of a continuous target whose range in training is not known."""
ORIGIN = "published checkpoint"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stated:
    """What a checkpoint does not hold, as whoever imports it says."""

    target: str
    """Name in the field dictionary."""
    inputs: tuple[str, ...] | None = None
    """None: those that the weights say."""
    metadata_names: tuple[str, ...] | None = None
    """Of the columns; None: `REFERENCE_COLUMNS` without the target."""
    metadata_blocks: tuple[str, ...] = ()
    """Groups of columns that were shown; the others, and the target's own, were 0."""
    target_range: tuple[float, float] | None = None
    """0.5th and 99.5th percentile of a continuous target in training, in its own unit."""


def published_card(
    checkpoint: PublishedCheckpoint, trained: TrainedInputs, stated: Stated, dictionary: Dictionary
) -> ModelCard:
    """Return the card of a checkpoint.

    Raises
    ------
    TrainError, UnknownTargetError
        What was said does not fit the weights or the dictionary, or is not enough.
    """
    inputs = _decide_inputs(trained, stated.inputs)
    target, fitted = _decide_target(checkpoint, stated, dictionary)
    return ModelCard(
        network="fusion",
        shape=shape_of_inputs(checkpoint.shape, inputs),
        targets=(target,),
        fitted=fitted,
        inputs=inputs,
        features=_decide_columns(checkpoint, inputs, stated, dictionary),
        volume_scaling="min-max",
        stores={},
        trained_on={
            "origin": ORIGIN,
            "epoch": checkpoint.epoch,
            "batches": trained.steps,
            "curves": {
                name: [value if math.isfinite(value) else None for value in curve]
                for name, curve in checkpoint.curves.items()
            },
        },
        versions=environment(),
    )


def shape_of_inputs(shape: NetworkShape, inputs: Sequence[str]) -> NetworkShape:
    """Return the shape of the published network with some of its inputs alone."""
    volumes = tuple(name for name in VOLUME_MODALITIES if name in inputs)
    return replace(
        shape,
        volumes=volumes,
        num_edges=shape.num_edges if CONNECTIVITY in inputs else 0,
        num_features=shape.num_features if METADATA in inputs else 0,
        parameters=shape.parameters if volumes else {"channels": []},
    )


def _decide_inputs(trained: TrainedInputs, said: Sequence[str] | None) -> tuple[str, ...]:
    """Return the inputs of a checkpoint; what the weights say clearly, nobody may say otherwise."""
    if said is None:
        if unclear := trained.of("unclear"):
            raise TrainError(
                f"The weights do not say clearly whether the checkpoint was trained on {', '.join(unclear)}: after "
                f"{trained.steps:,} batches an unused channel looks much like a used one.",
                "Say what it was trained on, e.g. --inputs flair,t1.",
            )
        said = trained.of("trained")
    if unknown := [name for name in said if name not in trained.evidence]:
        raise TrainError(f"Unknown input {unknown[0]!r}.{did_you_mean(unknown[0], trained.evidence)}")
    if untrained := [name for name in trained.of("untrained") if name in said]:
        raise TrainError(
            f"The checkpoint was not trained on {', '.join(untrained)}: the weights of it are those of the start, or "
            "faded.",
            f"It was trained on {', '.join(trained.of('trained')) or 'nothing'}.",
        )
    if left_out := [name for name in trained.of("trained") if name not in said]:
        raise TrainError(
            f"The checkpoint was trained on {', '.join(left_out)} too, as its weights say.", "Name it with --inputs."
        )
    if not said:
        raise TrainError("The checkpoint was trained on no input.", "Give the file of a training that has begun.")
    return tuple(name for name in INPUTS if name in said)


def _decide_target(
    checkpoint: PublishedCheckpoint, stated: Stated, dictionary: Dictionary
) -> tuple[TargetConfig, Targets]:
    definition = find_target(dictionary, stated.target)
    kind = load_kind(kind_of_definition(definition.kind))
    outputs = checkpoint.shape.num_outputs
    if kind.num_outputs != outputs:
        raise TrainError(
            f"{stated.target} is {definition.kind}, for which {kind.num_outputs} outputs are expected; the checkpoint "
            f"has {outputs}.",
            "Give the target that it was trained on.",
        )
    config = TargetConfig(name=stated.target, kind=kind.name, unit=definition.unit)
    if kind is not Regression:
        if stated.target_range is not None:
            raise TrainError(f"{stated.target} has classes and no range.", "Leave out --target-range.")
        return config, Targets((stated.target,), (kind.from_json(None),), (1.0,))
    low, high = stated.target_range or (-1.0, 1.0)
    if not -math.inf < low < high < math.inf:
        raise TrainError(f"Expected a range that rises, got {low:g} to {high:g}.", "Give --target-range LOW HIGH.")
    if stated.target_range is None:
        config = replace(config, unit=SCALED_UNIT)
    return config, Targets((stated.target,), (Regression(low, high),), (1.0,))


def _decide_columns(
    checkpoint: PublishedCheckpoint, inputs: Sequence[str], stated: Stated, dictionary: Dictionary
) -> FeatureScaler:
    if METADATA not in inputs:
        if stated.metadata_names or stated.metadata_blocks:
            raise TrainError("Columns of metadata were named, and the checkpoint was not trained on metadata.")
        return FeatureScaler((), (), (), (), "raw")
    names = stated.metadata_names or tuple(name for name in REFERENCE_COLUMNS if name != stated.target)
    expected = checkpoint.shape.num_features
    if len(names) != expected or len(set(names)) != len(names):
        raise TrainError(
            f"The checkpoint takes {expected} columns of metadata, each of its own name; got {len(set(names))} names.",
            "mm export-model passes on a run that was trained on z-scores, with two columns for each feature; such "
            "columns cannot be imported."
            if expected == 2 * len(names)
            else "Give the names in their order: --metadata-names sex,age,…",
        )
    if unknown := [name for name in names if name not in dictionary]:
        raise TrainError(
            f"The column {unknown[0]!r} is not in the field dictionary.{did_you_mean(unknown[0], dictionary)}",
            "Define it under [features.NAME] in study.toml, and import into that study: docs/labels.md.",
        )
    if not stated.metadata_blocks:
        raise TrainError(
            "The checkpoint was trained on metadata, and its weights do not say which groups of columns were shown.",
            "Give --metadata-block for each: constitutional, disease, serology, psychology.",
        )
    seen = shown_features(dictionary, stated.target, stated.metadata_blocks)
    shown = tuple(name in seen for name in names)
    if not any(shown):
        raise TrainError("None of the columns is in a group that was shown.", "Give other --metadata-block options.")
    return FeatureScaler(names, (None,) * len(names), (1.0,) * len(names), shown, "raw")
