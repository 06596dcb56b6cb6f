"""Model cards of any inputs and targets, for tests that need no run."""

from collections.abc import Mapping
from typing import Any

from mmbase.names import CONNECTIVITY, METADATA
from mmtrain.config.data import TargetConfig
from mmtrain.data.scaling import FeatureScaler
from mmtrain.models.card import ModelCard
from mmtrain.models.protocol import NetworkShape
from mmtrain.targets.kinds import regression
from mmtrain.targets.protocol import TargetKind
from mmtrain.targets.several import Targets

NO_FEATURES = FeatureScaler((), (), (), ())
AGE: Mapping[str, TargetKind] = {"age": regression.Kind(40.0, 80.0)}


def make_card(
    network: str = "fusion",
    *,
    volumes: tuple[str, ...] = (),
    side: int = 8,
    num_edges: int = 0,
    features: FeatureScaler = NO_FEATURES,
    kinds: Mapping[str, TargetKind] = AGE,
    unit: str = "years",
    parameters: Mapping[str, Any] | None = None,
    **facts: Any,
) -> ModelCard:
    """Return a card whose sizes and inputs are those of what the model is given.

    Parameters
    ----------
    kinds
        Target to how it is scaled.
    unit
        Of every target.
    facts
        Further fields of the card, which say nothing where they are left out.
    """
    shape = NetworkShape(
        volumes=volumes,
        side=side,
        num_edges=num_edges,
        num_features=FeatureScaler.num_columns_of(features.names, features.scaling),
        num_outputs=sum(kind.num_outputs for kind in kinds.values()),
        parameters=parameters or {},
    )
    return ModelCard(
        network=network,
        shape=shape,
        targets=tuple(TargetConfig(name=name, kind=kind.name, unit=unit) for name, kind in kinds.items()),
        fitted=Targets(tuple(kinds), tuple(kinds.values()), (1.0,) * len(kinds)),
        inputs=(*volumes, *[CONNECTIVITY] * bool(num_edges), *[METADATA] * bool(features.names)),
        features=features,
        **({"stores": {}, "trained_on": {}, "versions": {}} | facts),
    )
