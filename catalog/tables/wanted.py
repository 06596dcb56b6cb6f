"""What tables are read for."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from catalog.tables.headers import TableHeader
from catalog.tables.named import WantedName


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedField:
    """What is to be known of a field to read it."""

    codes: frozenset[int] = frozenset()
    """Codes that definitions speak of: answers, missing codes, illnesses."""
    is_date: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What tables are read for: fields and names of features, of some participants."""

    fields: Mapping[int, WantedField]
    names: Mapping[str, WantedName]
    """By name of the feature, in lower case."""
    eids: pl.Series = dataclasses.field(repr=False)
    """Participants with imaging, int64."""
    labels: Mapping[int, str] = dataclasses.field(repr=False)
    """Of those who are not called by their number."""
    sessionless: Mapping[int, bool] = dataclasses.field(repr=False)
    """Participants with images outside any session; whether all of theirs are."""

    def find_names(self, header: TableHeader) -> dict[str, list[int]]:
        """Return where the columns are that name a feature, by the feature."""
        others = {spelled: name for name, wanted in self.names.items() for spelled in wanted.headers}
        features = others | {name: name for name in self.names}
        positions: dict[str, list[int]] = {}
        for position, spelled in enumerate(header.names):
            if name := features.get(spelled.lower()):
                positions.setdefault(name, []).append(position)
        return positions
