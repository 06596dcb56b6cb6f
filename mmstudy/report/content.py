"""Everything that the report shows, as plain values: what the page is given, and what its figures are drawn from.

Terms
-----
input      what a model can be given: a volume, connectivity, or a group of tabular features.
set        of inputs; the columns of the grid.
series     a method and a network: separate fusion, baseline linear, ...
model      what one series makes of one target from one set; the mean over its runs where it has several.

Lists of equal length under one name are the columns of a table. A model, target, series, set or input is named by its
place in its table. What is not known is null. Nothing in it is about a single person, and no count is below ten.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog.fields import Dictionary
from mmbase.version import VERSION
from mmstudy.comparison.compare import Comparison
from mmstudy.comparison.contenders import find_contenders
from mmstudy.comparison.flags import FLAGS
from mmstudy.report.associations import label_edges
from mmstudy.report.beside import Beside, beside_content
from mmstudy.report.communities import communities_of
from mmstudy.report.data import data_content
from mmstudy.report.edges import edges_of
from mmstudy.report.effects import effect_columns
from mmstudy.report.facts import StudyFacts
from mmstudy.report.findings import findings_of
from mmstudy.report.hours import hour_columns, hour_totals, trunk_columns
from mmstudy.report.limits import limits_of
from mmstudy.report.links import RunLinks, run_columns
from mmstudy.report.methods import methods_text
from mmstudy.report.models import best_columns, difference_columns, model_columns, runs_of
from mmstudy.report.names import Names, find_names
from mmstudy.report.nodes import nodes_of
from mmstudy.report.tested import tested_columns

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What is said of the report as a whole."""

    title: str
    source: str
    """runs or table."""
    made_on: str
    """A date."""
    links: Mapping[str, RunLinks] = field(default_factory=dict)
    """What the page can link to of each run."""
    notes: tuple[str, ...] = ()
    """What is to be said above the page, beside the notes of its comparison."""


def report_content(
    comparison: Comparison,
    dictionary: Dictionary,
    about: About,
    facts: StudyFacts | None = None,
    beside: Beside | None = None,
) -> dict[str, Any]:
    """Return what a report shows.

    Parameters
    ----------
    dictionary
        Units of targets that it knows.
    facts
        Of the study that the models are of; None of a table, whose report has no data, calibration and subgroups.
    beside
        A table whose scores are shown beside those of the models.
    """
    names = find_names(comparison.results)
    models = model_columns(comparison.results, names)
    best = best_columns(comparison.best, names, models)
    edges = [
        *edges_of(find_contenders(comparison.results), names),
        *(label_edges(facts.data.associations, names) if facts else ()),
    ]
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "about": _plain_about(about, comparison),
        **_plain_names(names, dictionary),
        "flags": [{"name": flag.name, "mark": flag.mark, "title": flag.title} for flag in FLAGS],
        "models": models,
        "runs": run_columns(runs_of(comparison.results), about.links),
        "best": best,
        "differences": difference_columns(comparison.paired, names, models),
        "edges": edges,
        "nodes": nodes_of(models, best, edges, names),
        "communities": communities_of(edges, names),
        "effects": effect_columns(comparison.effects, names),
        "hours": hour_columns(comparison.results, names),
        "trunks": trunk_columns(comparison),
        "hour_totals": hour_totals(comparison, names),
    }
    if beside is not None:
        content["beside"] = beside_content(beside, comparison.results, names, models, best)
    if facts is not None:
        content["data"] = data_content(facts.data, names)
        content |= tested_columns(facts.tested, names, models, best)
    content["findings"] = findings_of(content)
    content["methods_text"] = methods_text(content, facts)
    content["limits"] = limits_of(content, comparison.untested, facts)
    return content


def _plain_about(about: About, comparison: Comparison) -> dict[str, Any]:
    return {
        "title": about.title,
        "source": about.source,
        "made_by": f"mm {VERSION}",
        "made_on": about.made_on,
        "notes": [*about.notes, *comparison.notes],
        "counts": comparison.counts,
        "hours": comparison.hours_in_all,
    }


def _plain_names(names: Names, dictionary: Dictionary) -> dict[str, Any]:
    return {
        "domains": list(names.domains),
        "inputs": [{"name": name, "title": title} for name, title in names.inputs.items()],
        "sets": names.sets_by_place,
        "series": [
            {"method": method, "network": network, "title": title} for (method, network), title in names.series.items()
        ],
        "targets": [
            {
                "name": name,
                "title": name.replace("_", " "),
                "domain": names.domains.index(target.domain),
                "kind": target.kind,
                "unit": dictionary[name].unit if name in dictionary else "",
                "metric": target.metric,
            }
            for name, target in names.targets.items()
        ],
    }
