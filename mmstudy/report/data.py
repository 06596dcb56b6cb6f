"""What data a study has, as plain values: participants by split, missing labels, distributions, and mean images."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from catalog.export.group_counts import GroupTable
from mmbase.disclosure import SMALLEST_COUNT, hidden_places
from mmbase.names import SPLITS
from mmstudy.report.facts import ALL_MODALITIES, DataFacts, InputFacts, SplitSize
from mmstudy.report.models import Columns, shortened
from mmstudy.report.names import Names
from mmtrain.aggregates.people import shown_count

NOT_SHOWN = "not shown"


def data_content(facts: DataFacts, names: Names) -> dict[str, Any]:
    """Return what is shown of the data; targets that the study has no labels of are left out."""
    places = {name: place for place, name in enumerate(names.targets)}
    totals = {table.feature: table for table in facts.totals}
    tables = sorted((of for of in facts.tables if of.feature in places), key=lambda of: places[of.feature])
    return {
        "splits": {
            "split": list(SPLITS),
            "samples": shown_counts([facts.splits[split].samples for split in SPLITS]),
            "participants": shown_counts([facts.splits[split].participants for split in SPLITS]),
        },
        "inputs": _input_columns(facts.inputs, names),
        "targets": _target_columns(tables, places, facts.splits),
        "distributions": [
            {
                "values": list(table.values),
                "all": [row[0] for row in totals[table.feature].counts_RC],
                **{split: [row[place] for row in table.counts_RC] for place, split in enumerate(SPLITS)},
                "name": table.feature,
                "title": f"{table.feature} ({table.unit})" if table.unit else table.feature,
            }
            for table in tables
        ],
        "images": [
            {
                "name": image.name,
                "title": image.title,
                "num_samples": image.num_samples,
                "png": base64.b64encode(image.png).decode(),
            }
            for image in facts.images
        ],
    }


def _input_columns(inputs: Sequence[InputFacts], names: Names) -> Columns:
    """Return what each input of the report is, and how many tens of participants have it."""
    shown = [of for of in inputs if of.name in names.inputs or of.name == ALL_MODALITIES]
    return {
        "name": [names.inputs.get(of.name, of.name) for of in shown],
        "what_it_is": [of.told for of in shown],
        **{split: [None if of.people is None else _tens(of.people.get(split, 0)) for of in shown] for split in SPLITS},
    }


def _tens(count: int) -> str:
    """Return a number of people as a range of ten.

    >>> _tens(7), _tens(230)
    ('0 to 9', '230 to 239')
    """
    low = count // SMALLEST_COUNT * SMALLEST_COUNT
    return f"{low} to {low + SMALLEST_COUNT - 1}"


def shown_counts(counts: list[int]) -> list[str]:
    """Return counts whose sum is known, the small ones hidden with a neighbour."""
    hidden = hidden_places(counts)
    return [NOT_SHOWN if place in hidden else shown_count(count) for place, count in enumerate(counts)]


def _target_columns(tables: list[GroupTable], places: Mapping[str, int], sizes: Mapping[str, SplitSize]) -> Columns:
    """Return how many participants of each split have a label, its mean and its spread, where it may be told.

    The last row of a table counts those without a label, so who has one is the rest of the split.
    """
    missing = {table.feature: table.counts_RC[-1] for table in tables}
    all_people = sum(size.participants for size in sizes.values())
    return {
        "target": [places[table.feature] for table in tables],
        **{
            split: [_having(missing[table.feature][place], sizes[split].participants) for table in tables]
            for place, split in enumerate(SPLITS)
        },
        "missing_share": [_share(missing[table.feature], all_people) for table in tables],
        **{
            f"{split}_{name}": [getattr(table, f"{name}s_C")[place] for table in tables]
            for name in ("mean", "sd")
            for place, split in enumerate(SPLITS)
        },
    }


def _having(missing: int | None, people: int) -> str:
    return NOT_SHOWN if missing is None else shown_count(people - missing)


def _share(missing: tuple[int | None, ...], people: int) -> float | None:
    counts = [count for count in missing if count is not None]
    return shortened(sum(counts) / people) if people and len(counts) == len(missing) else None
