"""What attacks came to, as rows for people."""

from mmtrain.privacy.attack import FALSE_POSITIVE_RATES
from mmtrain.privacy.finding import TargetPrivacy, figure_text, rate_sentence

TITLES = (
    "attack",
    "AUC",
    "advantage",
    *(f"members found at {100 * rate:g} % false positives" for rate in FALSE_POSITIVE_RATES),
    "other runs used",
)


def attack_rows(target: TargetPrivacy) -> list[tuple[str, ...]]:
    """Return a row for each attack on a target, as long as `TITLES`."""
    return [
        (
            attack.name,
            figure_text(attack.figures.auc),
            figure_text(attack.figures.advantage),
            *(rate_sentence(attack, rate) for rate in FALSE_POSITIVE_RATES),
            str(attack.shadows) if attack.shadows else "–",
        )
        for attack in target.attacks
    ]
