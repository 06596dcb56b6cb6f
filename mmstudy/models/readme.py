"""The README.md of a bundle: a model card for people, and the head that model hubs read.

Sections follow Mitchell et al. 2019 (Model cards for model reporting, arXiv 1810.03993); the head is YAML as the
Hugging Face hub reads it (https://huggingface.co/docs/hub/model-cards).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmbase.version import VERSION
from mmstudy.models.contract import InputContract
from mmstudy.models.input_texts import (
    connectivity_lines,
    feature_rows,
    input_lines,
    listed,
    missing_line,
    onnx_inputs,
    python_call,
    volume_lines,
)
from mmtrain.bundles.golden import NUM_EXAMPLES, TOLERANCE
from mmtrain.bundles.results import GroupResults, Measured, TargetResults, ToldResults
from mmtrain.metrics.registry import in_table_order, is_main, label_of
from mmtrain.models.card import ModelCard
from mmtrain.page.facts import CLASSIFICATION
from mmtrain.page.page import LEVEL_WORDS, input_title
from mmtrain.page.tables import OF_GROUPS, SPLIT_TITLES

NOT_STATED = "Not stated. Ask whoever made this bundle before you use or pass on the model."
_LEGENDS = {
    True: "AUC: how often the model ranks a person of class 1 above one of class 0; 0.5 is chance, 1 is always.",
    False: "MAE: by how much a prediction is wrong on average. Median absolute error: half of the predictions are "
    "wrong by less. R²: share of the differences between people that is predicted; 0 is nothing, 1 is all. r: how "
    "nearly predictions and true values rise and fall together; 0 is not at all, 1 is perfectly.",
}
"""By whether a target is binary."""
_ONNX_OUTPUTS = {
    "regression": "A number in a unit: −1 stands for `low`, 1 for `high`.",
    "classification": "A probability: two numbers, a and b; that of class 1 is s(b) / (s(a) + s(b)), with "
    "s(x) = 1 / (1 + exp(−x)).",
    "binned": "A number learnt in bins: the softmax of 40 numbers gives the probabilities of 40 equal bins, from 2 w "
    "below `low` to 2 w above `high`, with w = (`high` − `low`) / 36; the prediction is the mean of their centres.",
}
"""Kind of a target to what its outputs mean."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Readme:
    """What a README says."""

    card: ModelCard
    contract: InputContract
    results: ToldResults | None
    """None: how good the model is, is not known."""
    onnx_note: str
    """Why there is no ONNX file; empty where there is one."""
    licence: str
    citation: str
    date: str
    """YYYY-MM-DD."""


def render_readme(readme: Readme) -> bytes:
    """Return the README as UTF-8."""
    environment = Environment(
        loader=PackageLoader("mmstudy.models", "."),
        autoescape=False,  # it is Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.get_template("readme.md.j2")
    return template.render(_of_model(readme) | _of_results(readme.card, readme.results) | _of_inputs(readme)).encode()


def _of_model(readme: Readme) -> dict[str, Any]:
    """Return what the template says of the model itself, and of the bundle."""
    card = readme.card
    return {
        "front_matter": list(_front_matter(readme)),
        "title": _title(card),
        "summary": _summary(card, is_of_mm=readme.results is not None),
        "targets": [{"name": target.name, "meaning": _meaning(target.kind, target.unit)} for target in card.targets],
        "onnx": _onnx(readme),
        "num_examples": NUM_EXAMPLES,
        "lacking": ", also without each input that a person may lack" if card.optional_inputs else "",
        "tolerance": f"{TOLERANCE:g}",
        "licence": readme.licence or NOT_STATED,
        "citation": readme.citation or "Not stated.",
        "version": VERSION,
        "date": readme.date,
        "versions": ", ".join(f"{name} {version}" for name, version in card.versions.items()) or "unknown versions",
    }


def _of_inputs(readme: Readme) -> dict[str, Any]:
    """Return what the template says of inputs."""
    card, contract = readme.card, readme.contract
    return {
        "inputs": list(input_lines(card)),
        "missing": missing_line(card),
        "volumes": list(volume_lines(card, contract)),
        "connectivity": list(connectivity_lines(contract)),
        "features": list(feature_rows(card, contract)),
        "assumed": sorted(contract.assumed.items()),
        "call": python_call(card),
    }


def _of_results(card: ModelCard, results: ToldResults | None) -> dict[str, Any]:
    """Return what the template says of how good the model is, and of whom it was trained on."""
    if results is None:
        return {"results": None, "trained_on": _trained_on(card)}
    sizes = results.cohort.items()
    kinds = dict.fromkeys(target.kind == CLASSIFICATION for target in card.targets)
    return {
        "results": results,
        "level_words": LEVEL_WORDS,
        "measured": [_measured(target, len(results.targets) > 1) for target in results.targets],
        "legend": " ".join(_LEGENDS[is_binary] for is_binary in kinds),
        "cohort": [
            {"split": SPLIT_TITLES[split], "samples": size.samples, "participants": size.participants}
            for split, size in sizes
        ],
        "ages": _ages(results),
        "exact": "; ".join(_exact(card)),
    }


def _front_matter(readme: Readme) -> Iterator[str]:
    """Yield lines of YAML; texts in double quotes are JSON, which YAML includes."""
    if readme.licence:
        yield "license: other"
        yield f"license_name: {json.dumps(readme.licence)}"
    yield "library_name: mm"
    yield f"tags: {json.dumps(['neuroimaging', 'brain-mri', *readme.card.inputs])}"
    if readme.results:
        yield f"metrics: {json.dumps(in_table_order({name for t in readme.results.targets for name in _shown(t)}))}"


def _title(card: ModelCard) -> str:
    names = ", ".join(target.name for target in card.targets)
    return f"{names} from {', '.join(map(input_title, card.inputs))}"


def _summary(card: ModelCard, *, is_of_mm: bool) -> str:
    """Return in a sentence what the model is."""
    predicted, inputs = listed([target.name for target in card.targets]), listed(list(map(input_title, card.inputs)))
    origin = "It was trained with mm" if is_of_mm else "It was published elsewhere, and is used with mm"
    return (
        f"A model that predicts {predicted} from {inputs}; its network is `{card.network}`. {origin}, a program for "
        "large brain-imaging cohorts."
    )


def _meaning(kind: str, unit: str) -> str:
    """Return what a prediction is.

    >>> _meaning("regression", "years"), _meaning("classification", "0 female, 1 male")
    ('a number, in years', 'a probability from 0 to 1 of class 1 (0 female, 1 male)')
    """
    if kind == CLASSIFICATION:
        return "a probability from 0 to 1 of class 1" + (f" ({unit})" if unit else "")
    return f"a number, in {unit}" if unit else "a number"


def _measured(target: TargetResults, is_one_of_several: bool) -> dict[str, Any]:
    """Return what the template says of how well a target is predicted."""
    names = [name for name in OF_GROUPS if any(name in group.metrics for group in target.groups)]
    baseline = {name: Measured(value=value) for name, value in target.baseline.items()}
    return {
        "title": target.name if is_one_of_several else "Measures",
        "rows": [
            {
                "title": label_of(name, target.unit),
                "test": _text(target.metrics.get("test", {}).get(name)),
                "val": _text(target.metrics.get("val", {}).get(name)),
                "baseline": _text(baseline.get(name)),
            }
            for name in _shown(target)
        ],
        "group_titles": [label_of(name, target.unit) for name in names],
        "groups": [_group(group, names) for group in target.groups],
    }


def _shown(target: TargetResults) -> list[str]:
    """Return the metrics of a target that a table for people shows."""
    found = {name for metrics in target.metrics.values() for name in metrics}
    return [name for name in in_table_order(sorted(found)) if is_main(name)]


def _group(group: GroupResults, names: list[str]) -> dict[str, Any]:
    cells = [_text(group.metrics.get(name)) for name in names]
    return {"name": f"{group.by}: {group.group}", "n": f"{group.n:,}", "cells": cells}


def _text(measured: Measured | None) -> str:
    """Return a metric with its interval, in the digits that may be told.

    >>> _text(Measured(value=3.25, low=-0.5, high=4.0))
    '3.25 (−0.5 to 4)'
    """
    if measured is None:
        return "–"
    interval = "" if measured.low is None else f" ({measured.low:g} to {measured.high:g})"
    return f"{measured.value:g}{interval}".replace("-", "−")


def _exact(card: ModelCard) -> Iterator[str]:
    """Yield what the card tells of the people trained on without rounding."""
    if seen := card.features.shown_names:
        unseen = len(card.features.names) - len(seen)
        others = f" (of the {unseen} that it does not see, 0 and 1 stand for them)" if unseen else ""
        yield f"mean and standard deviation of each tabular feature that the model sees{others}"
    if bounded := [target.name for target in card.targets if target.kind != CLASSIFICATION]:
        yield f"the 0.5th and 99.5th percentile of {listed(bounded)}, near which only few people are"


def _ages(results: ToldResults) -> str:
    """Return how old the training cohort is."""
    ages = {quantile: f"{age:.0f}" for quantile, age in results.age_years.items()}
    if not ages:
        return "How old they are is not known, or may not be told of so few."
    told = [f"median {ages['0.5']} years"] if "0.5" in ages else []
    for low, high, share in (("0.25", "0.75", "half of them"), ("0.05", "0.95", "nine in ten")):
        if low in ages and high in ages:
            told.append(f"{share} between {ages[low]} and {ages[high]}")
    outside = "How well it predicts people who are much older or younger is not known."
    return f"Ages of the training split: {', '.join(told)}. {outside}"


def _trained_on(card: ModelCard) -> str:
    told = [f"{name}: {value}" for name, value in card.trained_on.items() if isinstance(value, str | int | float)]
    return f"What is known: {'; '.join(told)}." if told else "Not known."


def _onnx(readme: Readme) -> str:
    """Return what there is to know of the ONNX file."""
    if readme.onnx_note:
        return f"There is no ONNX file. {readme.onnx_note}"
    kinds = dict.fromkeys(target.kind for target in readme.card.targets)
    meanings = " ".join(_ONNX_OUTPUTS[kind] for kind in kinds if kind in _ONNX_OUTPUTS)
    return (
        "`model.onnx` has the network for programs without PyTorch. It takes float32: "
        f"{onnx_inputs(readme.card)}. Its output `outputs` is not scaled back; `targets` in `model.json` has the "
        f"scaling. {meanings}"
    )
