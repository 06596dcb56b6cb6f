"""What a README says of a model's inputs: which they are, how they must be made, and how the model is called."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mmbase.disclosure import rounded
from mmbase.names import CONNECTIVITY, METADATA
from mmdata.volume.connectome import CONNECTOMES
from mmstudy.models.contract import InputContract
from mmtrain.models.card import ModelCard
from mmtrain.page.page import input_title

_MAP_WORDS = {"FA": " (fractional anisotropy)", "MD": " (mean diffusivity)"}


def input_lines(card: ModelCard) -> Iterator[str]:
    """Yield each input with what it is, in the order of the network."""
    for name in card.shape.volumes:
        yield f"`{name}`: a {input_title(name)} volume of the brain, {card.shape.side} voxels along each edge"
    if CONNECTIVITY in card.inputs:
        yield f"`{CONNECTIVITY}`: functional connectivity, {card.shape.num_edges:,} edges"
    if METADATA in card.inputs:
        yield f"`{METADATA}`: {sum(card.features.shown)} tabular features"


def missing_line(card: ModelCard) -> str:
    """Return what a person may lack."""
    gaps = "" if METADATA not in card.inputs else " A value of a tabular feature may be missing."
    if not card.optional_inputs:
        return f"All of them are needed.{gaps}"
    return f"A person may lack {listed(card.optional_inputs)}, but not everything.{gaps}"


def volume_lines(card: ModelCard, contract: InputContract) -> Iterator[str]:
    """Yield how volumes are to be made."""
    settings = contract.volumes
    if settings is None or not card.shape.volumes:
        return
    grid = settings.grid(card.shape.side)
    centre = ", ".join(f"{value:g}" for value in settings.centre_mm)
    low, high = settings.clamp_percentiles
    region = "the brain (voxels that are not 0)" if settings.clamp_region == "brain" else "the whole volume"
    cube = f"a cube of {settings.extent_mm:g} mm centred at ({centre}) mm"
    yield f"Space: {settings.space} (fitted to the standard brain MNI152), {cube}."
    yield f"Grid: {grid.side} voxels along each edge, {grid.spacing_mm:.4g} mm each; {_axes(card)}."
    yield "Brain only: skull-stripped, 0 outside the brain."
    if "dwi" in card.shape.volumes:
        yield f"Diffusion: the map {settings.dwi_map}{_MAP_WORDS.get(settings.dwi_map, '')}."
    yield (
        f"Intensity: clamped to percentiles {low:g} and {high:g} of {region}: what is darker or brighter is set to "
        "them. Then divided by the upper of the two."
    )
    if card.volume_scaling == "min-max":
        yield "Each volume is then stretched from its own smallest to its own largest value."


def _axes(card: ModelCard) -> str:
    """Return which way the volumes' axes run, by the affine of the first that was trained on."""
    known = (
        card.stores[name]["affine_ras"] for name in card.shape.volumes if "affine_ras" in card.stores.get(name, {})
    )
    affine = next(known, np.eye(4))
    ways = (("to the right", "to the left"), ("to the front", "to the back"), ("upwards", "downwards"))
    return f"axes run {listed([forward if affine[i][i] > 0 else back for i, (forward, back) in enumerate(ways)])}"


def connectivity_lines(contract: InputContract) -> Iterator[str]:
    """Yield how connectivity is to be made."""
    if (settings := contract.connectivity) is None:
        return
    connectome = CONNECTOMES[settings.name]
    yield (
        f"{settings.name}: {connectome.description}, {connectome.num_regions} regions, of UK Biobank field "
        f"{connectome.field}."
    )
    if connectome.is_timeseries:
        measure = "Fisher's z of Pearson correlations" if settings.fisher_z else "Pearson correlations"
        yield f"{measure} between the regions' time series: the upper triangle without the diagonal, row by row."


def feature_rows(card: ModelCard, contract: InputContract) -> Iterator[Mapping[str, str]]:
    """Yield what is to be known of each tabular feature that the model sees."""
    scaler = card.features
    for name, mean, std, is_shown in zip(scaler.names, scaler.means, scaler.stds, scaler.shown, strict=True):
        if is_shown:
            definition = contract.fields.get(name)
            yield {
                "name": name,
                "unit": (definition.unit if definition else "") or "–",
                "fields": ", ".join(map(str, definition.fields)) if definition else "–",
                "spread": "not published" if mean is None else f"{rounded(mean):g} ± {rounded(std):g}",
            }


def python_call(card: ModelCard) -> str:
    """Return the arguments of a call of the model in Python."""
    volumes = ", ".join(f'"{name}": {name}_BXYZ' for name in card.shape.volumes)
    features = card.features.shown_names
    parts = [f"volumes={{{volumes}}}"] if volumes else []
    parts += ["connectivity=edges_BE"] if card.shape.num_edges else []
    parts += [f'features={{"{features[0]}": values_B, ...}}'] if card.shape.num_features and features else []
    return ", ".join(parts)


def onnx_inputs(card: ModelCard) -> str:
    """Return what an ONNX file takes, with its shapes."""
    parts = []
    if card.shape.volumes:
        order = ", ".join(card.shape.volumes)
        shape = f"(B, {len(card.shape.volumes)}, S, S, S)"
        parts.append(f"`volumes` {shape}, in the order {order}, from −1 (background) to 1")
    if card.shape.num_edges:
        parts.append(f"`connectivity` (B, {card.shape.num_edges})")
    if card.shape.num_features:
        parts.append(f"`metadata` (B, {card.shape.num_features}), features scaled by `model.json`")
    needed = ", all of them for every person: it does not predict from fewer" if card.optional_inputs else ""
    return "; ".join(parts) + needed


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them.

    >>> listed(["T1"]), listed(["T1", "FLAIR", "diffusion"])
    ('T1', 'T1, FLAIR and diffusion')
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else str(last)
