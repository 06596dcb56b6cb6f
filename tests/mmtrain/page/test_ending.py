"""The page says why training ended."""

from typing import Any

import pytest

from mmtrain.page.ending import why_ended
from mmtrain.page.facts import Block, NetworkFacts, RunFacts
from mmtrain.page.learning_rules import stopped_while_improving
from tests.mmtrain.page.builder import history


def ended(best: int, last: int, **changes: Any) -> RunFacts:
    losses = [1 + abs(best - number) / 100 for number in range(1, last + 1)]
    settings = {"epochs": 50, "patience": 10}
    return RunFacts(
        **{"run_id": "r", "state": "finished", "settings": settings, "epochs": history(losses, losses), **changes}
    )


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (ended(12, 22), "none of 10 epochs (--patience) after the best was better"),
        (ended(40, 50), "none of 10 epochs (--patience) after the best was better"),
        (ended(45, 50), "after all 50 epochs that were allowed"),
        (ended(12, 15, changes=[{"epoch": 15, "step": 0, "finished": True}]), "ended after epoch 15 with --finish"),
        (ended(12, 15, changes=[{"epoch": 3, "settings": {}}]), "not on record"),
        (ended(12, 15, state="stopped"), "stopped after epoch 15, before it was finished"),
    ],
)
def test_why_training_ended_is_told(facts: RunFacts, words: str) -> None:
    assert words in why_ended(facts)


def test_nothing_is_told_while_it_trains() -> None:
    assert why_ended(ended(3, 4, state="training")) == "" and why_ended(ended(1, 0)) == ""


def test_a_model_that_is_fitted_at_once_is_not_said_to_lack_epochs() -> None:
    network = NetworkFacts(
        name="linear", branches=(), head=Block("linear", 3), outputs=(), num_parameters=3, is_fitted_at_once=True
    )
    facts = ended(1, 1, network=network)
    assert "fitted at once" in why_ended(facts) and "allowed" not in why_ended(facts)
    many = ended(2, 2, settings={"epochs": 2, "patience": 10}, network=network)
    assert stopped_while_improving(many) is None
