"""The contract of published weights: how the reference study made its inputs, as far as it is known.

Whatever is not published has a sentence in `InputContract.assumed`, so that whoever predicts reads what was taken for
granted. Sources: Ruffle et al., NeuroImage 2024, doi 10.1016/j.neuroimage.2024.120600, and the code beside it;
`mmdata.volume.reference_grid`.
"""

from collections.abc import Iterator

from catalog.fields import Dictionary
from mmbase.names import CONNECTIVITY, METADATA
from mmdata.study_arrays import connectivity_attributes, volume_attributes
from mmdata.volume.connectome import CONNECTOMES
from mmdata.volume.reference_grid import (
    REFERENCE_CENTRE_MM,
    REFERENCE_EXTENT_MM,
    REFERENCE_SIDES,
    reference_affine,
)
from mmdata.volume.settings import ConnectivitySettings, VolumeSettings
from mmstudy.models.contract import InputContract
from mmstudy.models.published_card import SCALED_UNIT, Stated
from mmtrain.errors import TrainError
from mmtrain.models.card import ModelCard

_CONNECTOME = ConnectivitySettings(name="glasser360")


def published_contract(card: ModelCard, stated: Stated, dictionary: Dictionary) -> InputContract:
    """Return the contract of a published model.

    Raises
    ------
    TrainError
        Its volumes or its connectivity are not those of the reference study, so it is not known how they are made.
    """
    shape = card.shape
    if shape.volumes and shape.side not in REFERENCE_SIDES:
        raise TrainError(f"The reference study has volumes of side 64 and 128; the checkpoint's side is {shape.side}.")
    expected = CONNECTOMES[_CONNECTOME.name].num_edges
    if shape.num_edges not in (0, expected):
        raise TrainError(f"The reference study has {expected:,} edges; the checkpoint takes {shape.num_edges:,}.")
    return InputContract(
        volumes=_volume_settings(shape.volumes) if shape.volumes else None,
        connectivity=_CONNECTOME if shape.num_edges else None,
        fields={name: dictionary[name] for name in (stated.target, *card.features.shown_names)},
        assumed=dict(_assumptions(card, stated)),
    )


def published_stores(card: ModelCard, contract: InputContract) -> dict[str, dict[str, object]]:
    """Return what the card says of each array: as of a study's own, but for x, which runs from right to left."""
    stores: dict[str, dict[str, object]] = {}
    if contract.volumes is not None:
        affine = reference_affine(card.shape.side).tolist()
        for modality in card.shape.volumes:
            attributes = volume_attributes(contract.volumes, modality, card.shape.side)
            stores[modality] = {**attributes, "affine_ras": affine}
    if contract.connectivity is not None:
        stores[CONNECTIVITY] = connectivity_attributes(contract.connectivity)
    return stores


def _volume_settings(volumes: tuple[str, ...]) -> VolumeSettings:
    return VolumeSettings(
        modalities=volumes,
        extent_mm=REFERENCE_EXTENT_MM,
        centre_mm=REFERENCE_CENTRE_MM,
        sides=REFERENCE_SIDES,
        clamp_percentiles=(0.5, 99.5),
        clamp_region="volume",
    )


def _assumptions(card: ModelCard, stated: Stated) -> Iterator[tuple[str, str]]:
    if card.shape.volumes:
        yield from _of_volumes(card)
    if card.shape.num_edges:
        yield (
            "connectivity",
            "Connectivity is the correlation of Glasser's 360 regions in the order of UK Biobank's field 31016. The "
            "order of the regions is not published.",
        )
    if METADATA in card.inputs:
        yield from _of_metadata(stated)
    yield from _of_target(card, stated)
    if stated.inputs is not None:
        yield (
            "inputs",
            f"The checkpoint was trained on {', '.join(card.inputs)}. Whoever imported it said so.",
        )


def _of_volumes(card: ModelCard) -> Iterator[tuple[str, str]]:
    yield (
        "grid",
        "Volumes lie in MNI152 space on a cube of 182.857 mm, with x from right to left. This follows from the study's "
        "import code. No volume of the study itself was compared.",
    )
    yield (
        "percentiles",
        "Intensities are clamped to the 0.5th and 99.5th percentile of the whole image. The study's text gives the "
        "percentiles; its code does not show the step.",
    )
    if "dwi" in card.shape.volumes:
        yield (
            "dwi",
            "The diffusion image is the map of fractional anisotropy (FA), on the same grid and clamped as the others. "
            "The study does not publish which map it used, nor how it was imported.",
        )


def _of_metadata(stated: Stated) -> Iterator[tuple[str, str]]:
    order = "the study's dashboard" if stated.metadata_names is None else "the import, where somebody named them"
    yield (
        "metadata-order",
        f"The columns of metadata are in the order of {order}. The order in training is not published.",
    )
    yield (
        "metadata-blocks",
        f"The model saw the columns of {', '.join(stated.metadata_blocks)}, and zeros in the others. Whoever imported "
        "it said so.",
    )
    yield (
        "metadata-values",
        "Columns are plain values in the units and codes of mm's field dictionary. The study's own codes are not "
        "published; of handedness it is not known which code is right.",
    )
    yield (
        "metadata-missing",
        "What stood for a missing value in training is not published, so a sample that lacks a column has no "
        "prediction.",
    )


def _of_target(card: ModelCard, stated: Stated) -> Iterator[tuple[str, str]]:
    (target,) = card.targets
    if target.kind == "classification":
        yield (
            "classes",
            f"The second output stands for class 1 of {target.name} ({target.unit}). The study's own coding is not "
            "published.",
        )
    elif target.unit == SCALED_UNIT:
        yield (
            "target-scaling",
            f"The range of {target.name} in training is not published, so predictions stay on the scale of training, "
            "from -1 to 1. They rank people; they are not in the target's own unit.",
        )
    elif stated.target_range is not None:
        low, high = stated.target_range
        yield (
            "target-scaling",
            f"The range of {target.name} in training is {low:g} to {high:g} {target.unit}: its 0.5th and 99.5th "
            "percentile. Whoever imported the model said so; the study does not publish it.",
        )
