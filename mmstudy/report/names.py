"""What the tables of a report name by their places: domains, targets, inputs, sets of inputs, and series."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from mmstudy.comparison.contributions import CONTINUOUS, MAIN
from mmstudy.comparison.drawing.sets import elements_in_order, sort_sets, title_of
from mmstudy.comparison.elements import Elements, elements_of
from mmstudy.sweep.grid import InputSet
from mmstudy.sweep.settings import BASELINE_METHOD


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What is predicted."""

    domain: str
    kind: str
    """continuous or binary."""

    @property
    def metric(self) -> str:
        """Return the name of the score that its models are judged by."""
        return MAIN[self.kind]


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """Everything that can be named, in the order of its table."""

    domains: tuple[str, ...]
    targets: Mapping[str, Target]
    """Continuous ones of a domain first."""
    inputs: Mapping[str, str]
    """Name to title."""
    sets: tuple[Elements, ...]
    """Smaller ones first."""
    series: Mapping[tuple[str, str], str]
    """Method and network to title."""

    @property
    def sets_by_place(self) -> list[list[int]]:
        """Return the sets, each as the places of its inputs."""
        return [[place for place, name in enumerate(self.inputs) if name in of] for of in self.sets]

    @property
    def compared_series(self) -> list[int]:
        """Return the places of the series by which targets are compared: no baselines, where there is another."""
        others = [place for place, (method, _) in enumerate(self.series) if method != BASELINE_METHOD]
        return others or list(range(len(self.series)))

    def place_of_set(self, inputs: list[str], blocks: list[str]) -> int:
        """Return the place of a set."""
        return self.sets.index(elements_of(inputs, blocks))

    def place_of_target(self, name: str) -> int:
        """Return the place of a target."""
        return list(self.targets).index(name)

    def place_of_series(self, method: str, network: str) -> int:
        """Return the place of a series."""
        return list(self.series).index((method, network))


def find_names(results: pl.DataFrame) -> Names:
    """Return what the results of a comparison name."""
    kinds = results.select("target", "domain", "kind").unique(maintain_order=True)
    domains = tuple(dict.fromkeys(kinds["domain"]))
    in_order = sorted(kinds.iter_rows(), key=lambda row: (domains.index(row[1]), row[2] != CONTINUOUS))
    pairs = results.select("inputs", "blocks").unique(maintain_order=True).iter_rows()
    sets = sort_sets([InputSet(tuple(inputs), tuple(blocks)) for inputs, blocks in pairs])
    series = results.select("method", "network").unique(maintain_order=True).iter_rows()
    return Names(
        domains=domains,
        targets={name: Target(domain=domain, kind=kind) for name, domain, kind in in_order},
        inputs={name: title_of(name) for name in elements_in_order(sets)},
        sets=tuple(dict.fromkeys(elements_of(of.inputs, of.blocks) for of in sets)),
        series={(method, network): " ".join(filter(None, (method, network))) for method, network in series},
    )
