"""Models of some inputs, without weights."""

from pathlib import Path

from mmbase.names import CONNECTIVITY, METADATA
from mmstudy.models.contract import InputContract
from mmstudy.models.find import FoundModel
from mmtrain.config.data import TargetConfig
from mmtrain.data.scaling import FeatureScaler
from mmtrain.models.card import ModelCard
from mmtrain.models.protocol import NetworkShape
from mmtrain.targets.several import Targets


def model(
    name: str,
    inputs: tuple[str, ...],
    contract: InputContract | None = None,
    *,
    optional: tuple[str, ...] = (),
    mean: float | None = 70.0,
) -> FoundModel:
    """Return a model of some inputs; its only feature is weight."""
    volumes = tuple(one for one in inputs if one not in (CONNECTIVITY, METADATA))
    scaler = FeatureScaler(("weight",), (mean,), (10.0,), (True,), "raw") if METADATA in inputs else None
    card = ModelCard(
        network="fusion",
        shape=NetworkShape(
            volumes=volumes,
            side=32,
            num_edges=12 * (CONNECTIVITY in inputs),
            num_features=int(METADATA in inputs),
            num_outputs=1,
        ),
        targets=(TargetConfig(name="age", kind="regression", unit="years"),),
        fitted=Targets(names=(), kinds=(), shares=()),
        inputs=inputs,
        features=scaler or FeatureScaler((), (), (), ()),
        stores={},
        trained_on={},
        versions={},
        optional_inputs=optional,
    )
    return FoundModel(name=name, path=Path(name), card=card, contract=contract or InputContract(), is_run=False)
