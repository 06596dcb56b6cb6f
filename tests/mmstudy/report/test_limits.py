"""A report says what it cannot say, and nothing that does not hold for it."""

from dataclasses import replace

from mmstudy.report.limits import limits_of
from tests.mmstudy.comparison.made_up import table
from tests.mmstudy.report.test_content import content_of, rows
from tests.mmstudy.report.test_methods import FACTS


def limits(**more: object) -> str:
    return " ".join(content_of(table(rows(**more)))["limits"])


def test_a_choice_on_test_is_told_where_it_was_made_and_there_alone() -> None:
    assert "chosen on the test scores" in limits(val_score=None)
    assert "chosen on the test scores" not in limits()


def test_few_test_samples_are_told_and_many_are_not() -> None:
    assert "10 of 10 models were tested on fewer than 100" in limits(n_test=99)
    assert "fewer than 100" not in limits(n_test=100)
    assert "How many participants each model was tested on is not known" in limits(n_test=None)


def test_one_training_and_missing_baselines_are_told() -> None:
    one = limits(n_test=500)
    assert "Each model was trained once" in one and "There are no baselines" in one
    twice = table([*rows(), *[row | {"run_id": f"{row['run_id']} again", "seed": 2} for row in rows()]])
    assert "trained once" not in " ".join(content_of(twice)["limits"])
    linear = [row | {"method": "baseline", "network": "linear", "score": 0.0} for row in rows()]
    assert "There are no baselines" not in " ".join(content_of(table([*rows(), *linear]))["limits"])


def test_how_many_runs_were_attacked_is_told_and_what_came_of_it() -> None:
    content = content_of(table(rows()))
    assert "mm privacy RUN measures it" in " ".join(limits_of(content, {}, FACTS))
    names = content["runs"]["name"]
    attacked = replace(FACTS, privacy={names[0]: "strong", names[1]: "little", names[2]: "little"})
    told = " ".join(limits_of(content, {}, attacked))
    assert f"3 of {len(names):,} runs (given away: 1; hardly anything found: 2;" in told
    assert "mm privacy" not in " ".join(limits_of(content, {}, None))


def test_the_text_says_only_what_was_done() -> None:
    content = content_of(table(rows()))
    text = " ".join(content["methods_text"])
    assert "3 targets were predicted, 2 continuous and 1 binary" in text
    assert "best validation score" in text and "linear mixed model" in text
    assert "Two models were compared" not in text  # there are no predictions to compare
    assert "bootstrap" not in text
    assert "best test score" in " ".join(content_of(table(rows(val_score=None)))["methods_text"])
