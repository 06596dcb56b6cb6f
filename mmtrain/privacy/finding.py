"""What is found of what a run gives away: privacy.json, and the same in plain words.

The thresholds are of this project, for there are none that everybody uses; each sentence states its own. A model
that the tests overfit on purpose has an AUC above 0.7.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import ConfigDict

from mmbase.disclosure import SMALLEST_COUNT
from mmbase.files import write_json
from mmbase.json_text import EXACT, read_json
from mmtrain.privacy.attack import FALSE_POSITIVE_RATES, AttackFigures, Figure, people_needed

AttackName = Literal["loss threshold", "likelihood ratio"]
Level = Literal["strong", "some", "unclear", "little", "unknown"]
LEVELS: tuple[Level, ...] = ("strong", "some", "unclear", "little", "unknown")
"""Gravest first."""
CHANCE = 0.5
"""AUC of an attack that knows nothing."""
STRONG_AUC, STRONG_RATE = 0.7, 0.1
"""From which on a model gives its members away: the AUC, or the share of members found at 1 % false positives."""
SOME_AUC, SOME_RATE = 0.55, 0.02
"""What the interval must be above of a model that gives some away, and the AUC's below of one that does not."""
_AT = f"{FALSE_POSITIVE_RATES[0]:g}"
PRIVACY_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Attack:
    """One attack on one target."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    name: AttackName
    figures: AttackFigures
    shadows: int = 0
    """Models that the likelihood ratio was learnt from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetPrivacy:
    """What the predictions of one target give away."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    target: str
    members: str
    """People; ``<10`` where that is not told."""
    others: str
    attacks: list[Attack] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be found out, and what else the figures may come from."""

    @property
    def level(self) -> Level:
        """Return how much is given away: what the attack says that finds most."""
        return min((_level_of(attack.figures) for attack in self.attacks), key=LEVELS.index, default="unknown")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPrivacy:
    """What privacy.json holds: nothing of single people."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    date: str
    targets: list[TargetPrivacy]
    schema_version: int = PRIVACY_VERSION

    @property
    def level(self) -> Level:
        """Return how much is given away by the target that gives most."""
        return min((target.level for target in self.targets), key=LEVELS.index, default="unknown")


def write_privacy(path: Path, privacy: RunPrivacy) -> None:
    """Write a run's privacy.json; without a checksum, for a withdrawal removes it."""
    write_json(path, asdict(privacy))


def read_privacy(path: Path) -> RunPrivacy:
    """Read a run's privacy.json.

    Raises
    ------
    DamagedTextError
        It is damaged, or of another version.
    """
    return read_json(path, RunPrivacy)


VERDICTS: dict[Level, str] = {
    "strong": "it gives away whom it was trained on",
    "some": "it gives away something of whom it was trained on",
    "unclear": "whether it gives anything away is not known: the interval is too wide",
    "little": "attacks hardly told members from others",
    "unknown": "too few people to say what it gives away",
}
REMEDIES: dict[Level, str] = {
    "strong": "Do not pass the model on to where the data may not go. Train it with more people, a smaller network, "
    "stronger weight decay or fewer epochs, and look again.",
    "some": "Before you pass the model on, ask the owner of the data. More people or more regularisation make it less.",
    "unclear": "More people make it certain.",
    "little": "A stronger attack may find more: this is no proof.",
    "unknown": "Measure it on a study of more people.",
}


def verdict_of(target: TargetPrivacy) -> str:
    """Return what is found of a target, with its threshold and all figures."""
    return " ".join([short_verdict_of(target), *map(_told, target.attacks)])


def short_verdict_of(target: TargetPrivacy) -> str:
    """Return what is found of a target with its threshold, for where a table has the figures."""
    if not target.attacks:
        return f"{target.target}: {VERDICTS['unknown']} ({target.members} members, {target.others} others)."
    return f"{target.target}: {VERDICTS[target.level]} ({_rule(target.level)})."


def rate_sentence(attack: Attack, rate: float) -> str:
    """Return the share of members found at a false positive rate, or why it is not known."""
    figure = attack.figures.true_positive_rates.get(f"{rate:g}")
    if figure is None:
        return f"unknown: needs {people_needed(rate):,} others"
    return percent_text(figure)


def figure_text(figure: Figure) -> str:
    """Return a figure with its interval.

    >>> figure_text(Figure(value=0.5123, low=0.49, high=0.531))
    '0.512 (0.490 to 0.531)'
    """
    ends = "" if figure.low is None or figure.high is None else f" ({figure.low:.3f} to {figure.high:.3f})"
    return f"{figure.value:.3f}{ends}"


def percent_text(figure: Figure) -> str:
    """Return a share with its interval.

    >>> percent_text(Figure(value=0.025, low=0.018, high=0.033)), percent_text(Figure(value=0.01, is_upper_bound=True))
    ('2.5 % (1.8 to 3.3)', 'at most 1.0 %')
    """
    ends = "" if figure.low is None or figure.high is None else f" ({100 * figure.low:.1f} to {100 * figure.high:.1f})"
    return f"{'at most ' if figure.is_upper_bound else ''}{100 * figure.value:.1f} %{ends}"


def _level_of(figures: AttackFigures) -> Level:
    auc, rate = figures.auc, figures.true_positive_rates.get(_AT)
    is_found = auc.low is not None and auc.low > CHANCE  # of few people, an AUC of 0.7 may be chance
    if (auc.value >= STRONG_AUC and is_found) or (
        rate is not None and rate.low is not None and rate.value >= STRONG_RATE
    ):
        return "strong"
    if auc.low is None or auc.high is None:
        return "unknown"
    if auc.low > SOME_AUC or (rate is not None and rate.low is not None and rate.low > SOME_RATE):
        return "some"
    return "little" if auc.high < SOME_AUC else "unclear"


def _rule(level: Level) -> str:
    """Return by which threshold it is said."""
    return {
        "strong": f"an AUC of {STRONG_AUC} or more with an interval above {CHANCE}, or {100 * STRONG_RATE:g} % of the "
        "members at 1 % false positives",
        "some": f"the interval of the AUC above {SOME_AUC}, or of the members at 1 % false positives above "
        f"{100 * SOME_RATE:g} %",
        "unclear": f"the interval of the AUC has {SOME_AUC} in it",
        "little": f"the interval of the AUC below {SOME_AUC}; 0.5 is chance",
        "unknown": f"fewer than {SMALLEST_COUNT} people",
    }[level]


def _told(attack: Attack) -> str:
    rates = ", ".join(_rates_told(attack))
    return f"{attack.name.capitalize()} attack: AUC {figure_text(attack.figures.auc)}, {rates}."


def _rates_told(attack: Attack) -> Iterator[str]:
    for rate in FALSE_POSITIVE_RATES:
        yield f"members found at {100 * rate:g} % false positives {rate_sentence(attack, rate)}"
