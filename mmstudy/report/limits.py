"""What a report cannot say: sentences that hold for it, and no others."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmstudy.comparison.compare import EACH_ITS_OWN, ON_TEST
from mmstudy.report.facts import StudyFacts
from mmstudy.sweep.settings import BASELINE_METHOD
from mmtrain.privacy.finding import Level

Content = Mapping[str, Any]
FEW_SAMPLES = 100
"""On test: below that an interval of balanced accuracy is about 0.2 wide."""
ALWAYS = (
    "That an input predicts a target does not say that one causes the other.",
    "All scores are of one cohort. How well its models predict participants of another is not known.",
    "Edges and communities describe the targets of this report. Other targets would change them, and how certain they "
    "are is not known.",
)
"""Of every report."""
_LEVELS: Mapping[Level, str] = {
    "strong": "given away",
    "some": "something given away",
    "little": "hardly anything found",
    "unclear": "not certain",
    "unknown": "too few people",
}


def limits_of(content: Content, untested: Mapping[str, str], facts: StudyFacts | None) -> list[str]:
    """Return the limits of a report, the gravest first.

    Parameters
    ----------
    content
        Of the report, as far as it is made.
    untested
        Targets whose models could not be tested against each other, and why.
    """
    told = [*_of_study(facts), *_of_choice(content), *_of_tests(content, untested), *_of_models(content)]
    return [*told, *_of_other_table(content), *_of_privacy(content, facts), *ALWAYS]


def _of_study(facts: StudyFacts | None) -> Iterator[str]:
    if facts is None:
        yield "The report is made of a table: participants, settings and predictions behind it are not known here."
    elif facts.is_synthetic:
        yield "The data are synthetic. Nobody in them exists, and no number here says anything of people."


def _of_choice(content: Content) -> Iterator[str]:
    if ON_TEST in content["about"]["notes"]:
        yield ON_TEST


def _of_tests(content: Content, untested: Mapping[str, str]) -> Iterator[str]:
    if EACH_ITS_OWN in content["about"]["notes"]:
        yield EACH_ITS_OWN
    elif not content["differences"]["family"]:
        yield "No two models are tested against each other, so which of two scores is larger may be chance."
    elif untested:
        yield f"The models of {', '.join(untested)} are not tested against each other: {next(iter(untested.values()))}"
    if content["effects"]["term"]:
        yield (
            "The models of a target share participants, and the mixed models do not know how many there are: read "
            "their effects as a summary of this grid."
        )


def _of_models(content: Content) -> Iterator[str]:
    models, counts = content["models"], content["about"]["counts"]
    num_models = len(models["target"])
    sizes = [n for n in models["n_test"] if n is not None]
    if few := sum(n < FEW_SAMPLES for n in sizes):
        yield (
            f"{few:,} of {num_models:,} models were tested on fewer than {FEW_SAMPLES} samples: their scores are rough."
        )
    if not sizes:
        yield "How many participants each model was tested on is not known."
    if all(len(runs) == 1 for runs in models["runs"]):
        yield "Each model was trained once: how much its score would differ after another training is not known."
    if number := counts["predict_one_class"]:
        yield f"{_models(number)} predict one class alone, so they do not tell the classes apart."
    if number := counts["not_above_chance"]:
        yield f"{_models(number)} are not above chance: their intervals reach the score of guessing."
    if not any(series["method"] == BASELINE_METHOD for series in content["series"]):
        yield "There are no baselines: whether a network is better than a linear model is not known."
        return
    if number := counts["not_better_than_baseline"]:
        yield f"{_models(number)} did not come out better than the best baseline of the same inputs."
    if number := counts["not_told_apart_from_baseline"]:
        yield f"{_models(number)} are not told apart from the best baseline of the same inputs."


def _of_other_table(content: Content) -> Iterator[str]:
    if "beside" in content:
        yield (
            f"The scores of {content['beside']['name']} are of other participants, as far as is known, and no "
            "difference to them is tested: it does not say which models are better."
        )


def _of_privacy(content: Content, facts: StudyFacts | None) -> Iterator[str]:
    if facts is None:
        return
    levels, num_runs = list(facts.privacy.values()), len(content["runs"]["name"])
    if not levels:
        yield "Whether the models give away whom they were trained on is not known: mm privacy RUN measures it."
        return
    told = [f"{words}: {levels.count(level):,}" for level, words in _LEVELS.items() if level in levels]
    yield (
        f"Whether they give away whom they were trained on was measured of {len(levels):,} of {num_runs:,} runs "
        f"({'; '.join(told)}; docs/privacy.md)."
    )


def _models(number: int) -> str:
    return f"{number:,} of the models"
