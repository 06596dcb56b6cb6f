"""What a report comes to, in a few sentences above everything else: what is predicted, and whether networks help.

Nothing is told of a table of scores: without intervals and validation scores these sentences would be guesses.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mmstudy.comparison.best import VALIDATION
from mmstudy.comparison.contenders import CONSTANT
from mmstudy.comparison.contributions import MAIN, MAIN_TITLES
from mmstudy.comparison.families import BASELINE, BETTER, FALSE_DISCOVERIES, WORSE

Content = Mapping[str, Any]
_TITLES = {MAIN[kind]: title for kind, title in MAIN_TITLES.items()}


def findings_of(content: Content) -> list[str]:
    """Return the sentences.

    Parameters
    ----------
    content
        Of the report: its names, models, best sets and differences.
    """
    return [*_predicted(content), *_networks(content)]


def _predicted(content: Content) -> Iterator[str]:
    """Say which targets are above chance: each by the model that did best on validation, of whichever series."""
    models, chosen = content["models"], _chosen(content)
    known = {target: model for target, model in chosen.items() if models["not_above_chance"][model] is not None}
    if not known:
        return
    above = [model for model in known.values() if not models["not_above_chance"][model]]
    titles = [of["title"] for of in content["targets"]]
    below = [titles[target] for target, model in known.items() if models["not_above_chance"][model]]
    if above:
        told = ", ".join(_model(content, model) for model in above)
        yield f"Above chance on test, by the model of each target that was best on validation: {told}."
    if below:
        yield f"Not above chance by that model: {', '.join(below)}."


def _chosen(content: Content) -> dict[int, int]:
    """Return the model of each target that has the best validation score of all series, without the constant one."""
    models, best = content["models"], content["best"]
    guesses = {place for place, series in enumerate(content["series"]) if series["network"] == CONSTANT}
    candidates = [
        model
        for model, chosen_on in zip(best["model"], best["chosen_on"], strict=True)
        if chosen_on == VALIDATION and models["series"][model] not in guesses and models["score"][model] is not None
    ]
    found: dict[int, int] = {}
    for model in sorted(candidates, key=lambda model: (models["target"][model], -models["val_score"][model])):
        found.setdefault(models["target"][model], model)
    return found


def _model(content: Content, model: int) -> str:
    """Say what a model comes to."""
    target, of_set, score = (content["models"][name][model] for name in ("target", "set", "score"))
    inputs = " + ".join(content["inputs"][place]["title"] for place in content["sets"][of_set])
    named = content["targets"][target]
    return f"{named['title']} ({_TITLES[named['metric']]} {_number(score)}, {inputs})"


def _networks(content: Content) -> Iterator[str]:
    """Say how many networks are found better or worse than the best baseline of the same inputs."""
    differences = content["differences"]
    verdicts = [
        verdict
        for family, verdict in zip(differences["family"], differences["verdict"], strict=True)
        if family == BASELINE
    ]
    if verdicts:
        networks = "network" if len(verdicts) == 1 else "networks"
        better, worse = (_count(verdicts.count(verdict)) for verdict in (BETTER, WORSE))
        yield (
            f"Of {len(verdicts)} {networks}, {better} found better than the best baseline of the same inputs, and "
            f"{worse} found worse (q at most {FALSE_DISCOVERIES:g})."
        )


def _count(number: int) -> str:
    return f"{number or 'none'} {'is' if number < 2 else 'are'}"


def _number(value: float) -> str:
    """Return a score as people read it.

    >>> _number(-0.0405)
    '−0.041'
    """
    return f"{value:.3f}".replace("-", "−")
