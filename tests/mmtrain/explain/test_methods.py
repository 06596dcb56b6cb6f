"""Attributions against closed forms, on models whose attributions can be told by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from mmtrain.data.scaling import FeatureScaler
from mmtrain.errors import TrainError
from mmtrain.explain import library
from mmtrain.explain.completeness import check_completeness
from mmtrain.explain.explainer import ExplainSettings
from mmtrain.explain.inputs import BACKGROUND, Inputs
from mmtrain.targets.kinds import classification
from tests.mmtrain.explain.made_models import YEARS, Function, explainer_of, model_of

B, SIDE, EDGES, CUBE = 3, 6, 10, 2
YEARS_PER_OUTPUT = (YEARS.high - YEARS.low) / 2
SCALER = FeatureScaler(("a", "hidden", "b"), (1.0, 2.0, 3.0), (1.0, 1.0, 1.0), (True, False, True))
rng = np.random.default_rng(5)
WEIGHTS = [torch.from_numpy(rng.normal(size=shape)).float() for shape in ((2, SIDE, SIDE, SIDE), (EDGES,), (6,))]


def some_inputs() -> Inputs:
    volumes = torch.from_numpy(rng.uniform(-1, 1, (B, 2, SIDE, SIDE, SIDE))).float()
    volumes[:, :, :CUBE] = BACKGROUND
    features = SCALER.scale(np.array([[0.0, 1.0, np.nan], [2.0, 5.0, 1.0], [1.0, 2.0, 3.0]]))
    edges = torch.from_numpy(rng.normal(size=(B, EDGES))).float()
    return Inputs(volumes_BCXYZ=volumes, edges_BE=edges, features_BF=torch.from_numpy(features))


def linear(*inputs: torch.Tensor | None) -> torch.Tensor:
    sums = [(part * w).flatten(1).sum(1) for part, w in zip(inputs, WEIGHTS, strict=True) if part is not None]
    return torch.stack(sums).sum(0)[:, None] / 50


def linear_model() -> Any:
    return model_of(Function(linear), volumes=("t1", "dwi"), side=SIDE, num_edges=EDGES, features=SCALER)


def products(inputs: Inputs, edges_E: np.ndarray) -> list[np.ndarray]:
    """Return weight times input less baseline, in years."""
    baselines = (torch.tensor(BACKGROUND), torch.from_numpy(edges_E), torch.zeros(6))
    parts = zip(WEIGHTS, inputs.given, baselines, strict=True)
    return [(w * (part - nothing) / 50 * YEARS_PER_OUTPUT).double().numpy() for w, part, nothing in parts]


def by_region(edges_BE: np.ndarray, share: float) -> np.ndarray:
    """Return sums over the edges of each of 5 regions, by the whole matrix."""
    matrices = np.zeros((len(edges_BE), 5, 5))
    matrices[:, *np.triu_indices(5, 1)] = edges_BE
    return share * (matrices + matrices.transpose(0, 2, 1)).sum(2)


def test_integrated_gradients_of_a_linear_model_are_weight_times_input_less_baseline() -> None:
    inputs, edges = some_inputs(), rng.normal(size=EDGES).astype(np.float32)
    attribution = explainer_of(linear_model(), edges, steps=4).explain(inputs)
    of_volumes, of_edges, of_features = products(inputs, edges)
    np.testing.assert_allclose(attribution.volumes_BCXYZ, of_volumes, atol=1e-5)
    np.testing.assert_allclose(attribution.regions_BR, by_region(of_edges, 0.5), atol=1e-5)
    np.testing.assert_allclose(attribution.region_sizes_BR, by_region(np.abs(of_edges), 0.5), atol=1e-5)
    by_hand = np.stack([of_features[:, 0] + of_features[:, 3], of_features[:, 2] + of_features[:, 5]], axis=1)
    np.testing.assert_allclose(attribution.features_BF, by_hand, atol=1e-5)
    whole = [of_volumes[:, 0].sum((1, 2, 3)), of_volumes[:, 1].sum((1, 2, 3)), of_edges.sum(1), of_features.sum(1)]
    np.testing.assert_allclose(attribution.inputs_BI, np.stack(whole, axis=1), atol=1e-4)


def test_occlusion_of_a_linear_model_is_the_sum_over_each_unit() -> None:
    inputs, edges = some_inputs(), rng.normal(size=EDGES).astype(np.float32)
    attribution = explainer_of(linear_model(), edges, method="occlusion", cube=CUBE).explain(inputs)
    of_volumes, of_edges, of_features = products(inputs, edges)
    num = SIDE // CUBE
    sums = of_volumes.reshape(B, 2, num, CUBE, num, CUBE, num, CUBE).sum((3, 5, 7))
    by_voxel = sums.repeat(CUBE, 2).repeat(CUBE, 3).repeat(CUBE, 4)
    np.testing.assert_allclose(attribution.volumes_BCXYZ, by_voxel, atol=1e-4)
    np.testing.assert_allclose(attribution.regions_BR, by_region(of_edges, 1.0), atol=1e-4)
    by_hand = np.stack([of_features[:, 0] + of_features[:, 3], of_features[:, 2] + of_features[:, 5]], axis=1)
    np.testing.assert_allclose(attribution.features_BF, by_hand, atol=1e-4)
    assert attribution.inputs_BI is None and check_completeness([attribution]) is None


def test_cubes_that_do_not_divide_the_side_are_cut_off_at_its_end() -> None:
    inputs = Inputs(volumes_BCXYZ=torch.rand(1, 1, SIDE, SIDE, SIDE))
    model = model_of(Function(lambda x, *_: x.flatten(1).sum(1, keepdim=True)), volumes=("t1",), side=SIDE)
    changes = explainer_of(model, method="occlusion", cube=4).explain(inputs).volumes_BCXYZ
    assert changes is not None and inputs.volumes_BCXYZ is not None
    corner = (inputs.volumes_BCXYZ[0, 0, 4:, 4:, 4:] - BACKGROUND).sum() * YEARS_PER_OUTPUT
    np.testing.assert_allclose(changes[0, 0, 4:, 4:, 4:], float(corner), rtol=1e-4)


def test_of_two_classes_the_log_odds_are_explained() -> None:
    kind = classification.Kind()

    def pair(x_BCXYZ: torch.Tensor, *_: Any) -> torch.Tensor:
        raw = x_BCXYZ.mean((1, 2, 3, 4))
        return torch.stack([0.3 - raw, 2 * raw], dim=1)

    model = model_of(Function(pair), kind=kind, volumes=("t1",), side=SIDE)
    inputs = Inputs(volumes_BCXYZ=torch.rand(B, 1, SIDE, SIDE, SIDE))
    attribution = explainer_of(model, steps=16).explain(inputs)
    likely = kind.predictions(pair(inputs.given[0]).double().numpy())
    np.testing.assert_allclose(attribution.output_B, np.log(likely / (1 - likely)), atol=1e-5)
    completeness = check_completeness([attribution])
    assert completeness is not None and completeness.error < 1e-4 and completeness.has_converged


def test_the_values_that_are_explained_are_those_that_are_predicted() -> None:
    outputs = torch.linspace(-2, 2, 10, dtype=torch.float64).reshape(5, 2)
    assert YEARS.explained(outputs[:, :1]).tolist() == YEARS.predictions(outputs[:, :1].numpy()).tolist()
    assert YEARS.explained_unit("years") == "years" and YEARS.explained_unit("") == "units of the target"
    assert classification.Kind.explained_unit("0 female, 1 male") == "log-odds"


def test_too_few_steps_over_a_step_of_the_model_are_told() -> None:
    def steep(x_BCXYZ: torch.Tensor, *_: Any) -> torch.Tensor:
        return torch.tanh(200 * (x_BCXYZ.mean((1, 2, 3, 4)) + 0.1))[:, None]

    model = model_of(Function(steep), volumes=("t1",), side=SIDE)
    inputs = Inputs(volumes_BCXYZ=torch.rand(B, 1, SIDE, SIDE, SIDE))
    few, many = (check_completeness([explainer_of(model, steps=steps).explain(inputs)]) for steps in (2, 512))
    assert few is not None and not few.has_converged
    assert many is not None and many.has_converged


def test_a_model_that_answers_in_steps_is_explained_by_occlusion() -> None:
    model = model_of(Function(lambda x, *_: (x[:, 0, 0, 0, 0] > 0).float()[:, None]), volumes=("t1",), side=SIDE)
    changes = explainer_of(model, method="occlusion", cube=CUBE).explain(
        Inputs(volumes_BCXYZ=torch.ones(1, 1, SIDE, SIDE, SIDE))
    )
    expected = np.zeros((SIDE, SIDE, SIDE))
    expected[:CUBE, :CUBE, :CUBE] = YEARS_PER_OUTPUT
    assert changes.volumes_BCXYZ is not None
    np.testing.assert_allclose(changes.volumes_BCXYZ[0, 0], expected, atol=1e-4)


def test_what_a_model_does_not_use_is_0_and_not_an_error() -> None:
    model = model_of(Function(lambda x, *_: torch.ones(len(x), 1)), volumes=("t1",), side=SIDE)
    inputs = Inputs(volumes_BCXYZ=torch.rand(B, 1, SIDE, SIDE, SIDE))
    for method in ("integrated-gradients", "occlusion"):
        attribution = explainer_of(model, method=method, steps=2).explain(inputs)
        assert attribution.is_zero and attribution.without_maps().volumes_BCXYZ is None


def test_a_sample_that_is_background_throughout_needs_no_occlusion() -> None:
    model = model_of(Function(lambda x, *_: x.mean((1, 2, 3, 4))[:, None]), volumes=("t1",), side=SIDE)
    inputs = Inputs(volumes_BCXYZ=torch.full((1, 1, SIDE, SIDE, SIDE), BACKGROUND))
    assert explainer_of(model, method="occlusion").explain(inputs).is_zero


def test_without_captum_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(library, "import_module", missing)
    with pytest.raises(TrainError, match=r"pip install 'megamodeller\[explain\]'"):
        library.load_captum()


@pytest.mark.parametrize("wrong", [{"method": "saliency"}, {"steps": 1}, {"cube": 0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TrainError, match="Expected"):
        ExplainSettings(**wrong)
