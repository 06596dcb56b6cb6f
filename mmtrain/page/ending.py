"""Why training ended, as far as the record of a run says."""

from mmtrain.page.facts import RunFacts


def why_ended(facts: RunFacts) -> str:
    """Return why a run trained no further; nothing while it trains, or before its first epoch has ended."""
    if facts.state == "training" or facts.best_epoch is None:
        return ""
    if facts.is_fitted_at_once:
        return "A model of this kind is fitted at once to all training samples: it has one epoch and no more."
    last = int(facts.epochs[-1]["epoch"])
    if facts.state == "stopped":
        return f"It was stopped after epoch {last}, before it was finished."
    if any(change.get("finished") for change in facts.changes):
        return f"It was ended after epoch {last} with --finish."
    return _by_itself(facts, last, facts.best_epoch)


def _by_itself(facts: RunFacts, last: int, best: int) -> str:
    """Return which limit ended a run that nobody ended."""
    patience, allowed = facts.settings.get("patience"), facts.settings.get("epochs")
    if isinstance(patience, int) and last - best >= patience:
        return f"It ended because none of {patience} epochs (--patience) after the best was better."
    if isinstance(allowed, int) and last >= allowed:
        return f"It ended after all {allowed} epochs that were allowed (--epochs)."
    return f"Why it ended after epoch {last} is not on record."
