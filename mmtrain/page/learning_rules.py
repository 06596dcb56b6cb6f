"""Rules about how a run has learnt: what its losses and its speed say."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from mmtrain.page.facts import RunFacts
from mmtrain.page.verdict import Verdict

MIN_EPOCHS = 5
"""Before which a curve says nothing."""
EARLY = 2
"""A best epoch up to this one is the start of training."""
RISEN, FALLEN = 0.1, 0.1
"""Shares of the losses at the best epoch by which validation has risen and training has fallen since."""
MUCH = 0.5
"""Shares of both from which they tell of themselves, whatever the gap."""
GAP = 1.5
"""Validation loss over training loss, at the best epoch, from which the gap is large."""
LAST_SHARE = 0.1
"""Of the allowed epochs: a best epoch among the last of them had no time to be overtaken."""
MAX_WAIT_SHARE = 0.05


def overfitted(facts: RunFacts) -> Verdict | None:
    """Say so where training losses fell while validation losses rose, from the start or with a large gap."""
    epochs, best = facts.epochs, facts.best_epoch
    if best is None or len(epochs) < MIN_EPOCHS or epochs[-1]["epoch"] == best:
        return None
    at_best, last = next(entry for entry in epochs if entry["epoch"] == best), _end(epochs)
    if min(*losses_of(at_best), *losses_of(last)) <= 0:  # a likelihood, whose shares mean nothing
        return None
    risen = last["val_loss"] / at_best["val_loss"] - 1
    fallen = 1 - last["train_loss"] / at_best["train_loss"]
    gap = at_best["val_loss"] / at_best["train_loss"]
    is_much = risen >= MUCH and fallen >= MUCH
    if risen < RISEN or fallen < FALLEN or not (best <= EARLY or gap >= GAP or is_much):
        return None
    early = f"The best epoch is number {best} of {epochs[-1]['epoch']}, hardly trained. " if best <= EARLY else ""
    wide = (
        f"Already at the best epoch, {best}, the validation loss was {gap:.1f} times the training loss. "
        if gap >= GAP
        else ""
    )
    return Verdict(
        code="overfitted",
        level="care",
        title="The model is overfitted: it learnt its training participants by heart",
        meaning=f"{early}{wide}After epoch {best} the training loss fell by {fallen:.0%} while the validation loss "
        f"rose by {risen:.0%}: what it learns of those it trains on does not hold for others. The test metrics are of "
        "the best epoch and are honest, but a better model is likely to exist.",
        remedy="Use more participants, augmentation (mm precompute-augs, or --augment on-device) or fewer inputs, a "
        "smaller network (--channels), a larger --weight-penalty or a smaller --learning-rate.",
    )


def stopped_while_improving(facts: RunFacts) -> Verdict | None:
    """Say so where the limit of epochs ended a run whose validation loss was still falling."""
    allowed, best = facts.settings.get("epochs"), facts.best_epoch
    if facts.is_fitted_at_once:
        return None
    if facts.state == "training" or best is None or not isinstance(allowed, int) or len(facts.epochs) < 2:
        return None
    num_last = max(1, int(allowed * LAST_SHARE))
    if facts.epochs[-1]["epoch"] < allowed or best <= allowed - num_last:
        return None
    return Verdict(
        code="stopped_while_improving",
        level="care",
        title="Training stopped while it was still improving",
        meaning=f"The best epoch is {best} of the {allowed} that were allowed (--epochs): the limit ended the run, not "
        "the validation loss. The model is likely to become better.",
        remedy=f"Train again with more epochs, e.g. --epochs {2 * allowed}.",
    )


def waited_for_data(facts: RunFacts) -> Verdict | None:
    """Say so where the device had nothing to do for much of the time."""
    shares = [entry["wait_share"] for entry in facts.epochs if isinstance(entry.get("wait_share"), int | float)]
    if not shares or median(shares) <= MAX_WAIT_SHARE:
        return None
    return Verdict(
        code="waited_for_data",
        level="note",
        title="The device waited for data",
        meaning=f"In the median epoch it had nothing to do for {median(shares):.0%} of the time. The result is the "
        "same; it took longer than it had to.",
        remedy="Run mm bench to see what holds it back; docs/streaming.md says what to do.",
    )


def losses_of(entry: Mapping[str, Any]) -> tuple[float, float]:
    """Return both losses of an epoch."""
    return entry["train_loss"], entry["val_loss"]


def _end(epochs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the median losses of the last three epochs: one alone may be an accident."""
    return {name: median(entry[name] for entry in epochs[-3:]) for name in ("train_loss", "val_loss")}
