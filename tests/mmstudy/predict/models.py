"""Models of some inputs, without weights."""

from pathlib import Path

from mmbase.names import CONNECTIVITY, METADATA
from mmstudy.models.contract import InputContract
from mmstudy.models.find import FoundModel
from mmtrain.data.scaling import FeatureScaler
from tests.made_card import NO_FEATURES, make_card


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
    scaler = FeatureScaler(("weight",), (mean,), (10.0,), (True,), "raw")
    card = make_card(
        volumes=volumes,
        side=32,
        num_edges=12 * (CONNECTIVITY in inputs),
        features=scaler if METADATA in inputs else NO_FEATURES,
        optional_inputs=optional,
    )
    return FoundModel(name=name, path=Path(name), card=card, contract=contract or InputContract(), is_run=False)
