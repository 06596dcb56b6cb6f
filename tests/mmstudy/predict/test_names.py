"""The names of mismatches, which users give to `--allow`, stand in the docs."""

import re
from pathlib import Path

from mmstudy.predict.deviations.names import NAMES

ROOT = Path(__file__).parents[3]


def test_every_name_that_is_told_is_on_the_list_and_in_the_docs() -> None:
    documented = set(
        re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*)", (ROOT / "docs/refusals.md").read_text(), re.MULTILINE)
    )
    in_docs = {name for cell in documented for name in re.findall(r"`([a-z-]+)`", cell)}
    assert in_docs == set(NAMES)


def test_a_name_is_words_in_kebab_case_with_a_sentence() -> None:
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in NAMES)
    assert all(sentence.endswith(".") for sentence in NAMES.values())
