"""What a study can say beside the scores of its models: aggregates alone, nothing about a single person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from catalog.export.group_counts import GroupTable
from mmdata.study import SplitSettings
from mmdata.volume.settings import ConnectivitySettings, VolumeSettings
from mmtrain.privacy.finding import Level

ALL_MODALITIES = "all modalities"
Pair = tuple[str, str]
"""Two targets by name, the first in alphabetical order first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSize:
    """How large a split is."""

    samples: int
    participants: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Association:
    """How much the labels of two targets tell of each other, by one measure."""

    name: str
    title: str
    told: str
    strengths: Mapping[Pair, float]
    """Of the pairs of which it may be told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanImage:
    """The mean of one modality over training samples."""

    name: str
    title: str
    num_samples: int
    png: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupScore:
    """One metric of one group of the test split."""

    by: str
    group: str
    n: int
    metric: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvePoint:
    """What was predicted for the people of one bin of predictions, and what was true of them."""

    predicted: float
    """Mean probability of class 1, or mean predicted value."""
    observed: float
    """Share of class 1, or mean true value."""
    low: float
    high: float
    """Both ends of the 95 % interval of what was observed."""
    people: int
    """Rounded down to tens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TestedModel:
    """What the page of a run may tell of its predictions of one target."""

    metrics: Mapping[str, float]
    """Of calibration, and those that groups are told of, on test."""
    curve: Sequence[CurvePoint]
    """Of calibration, on test; rising predictions."""
    groups: Sequence[GroupScore]


@dataclass(frozen=True, kw_only=True, slots=True)
class InputFacts:
    """What an input is, and how many participants have it."""

    name: str
    """Of a modality or a group of features."""
    told: str
    people: Mapping[str, int] | None
    """By split; None of a group of features, whose missing values are filled in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFacts:
    """What a study says of its data, whatever was trained on them."""

    splits: Mapping[str, SplitSize]
    inputs: Sequence[InputFacts]
    """The modalities of the study, all of them together (`ALL_MODALITIES`), and the groups of its features."""
    totals: Sequence[GroupTable]
    """Of each target: participants by value, as far as they may be told."""
    tables: Sequence[GroupTable]
    """The same by split. Both may be told: what is hidden in them cannot be worked out from their margins either."""
    associations: Sequence[Association]
    images: Sequence[MeanImage]


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyFacts:
    """What a study says of its data and of the runs of best sets."""

    data: DataFacts
    tested: Mapping[tuple[str, str], TestedModel]
    """Run and target, of models of best sets."""
    settings: Mapping[str, Mapping[str, Any]]
    """Run to its settings by name."""
    versions: Mapping[str, Sequence[str]]
    """Package to the versions of it that runs were made with."""
    volumes: VolumeSettings
    connectivity: ConnectivitySettings
    division: SplitSettings
    is_synthetic: bool
    """A source of the study is a synthetic release."""
    privacy: Mapping[str, Level] = field(default_factory=dict)
    """Run to what attacks on it came to; none of a run that nobody attacked (`mm privacy`)."""
