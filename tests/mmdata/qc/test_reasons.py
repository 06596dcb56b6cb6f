import re
from pathlib import Path

import pytest

import mmdata
from mmdata.qc.reasons import EXPLANATIONS, explain_reason

PACKAGE = Path(mmdata.__path__[0])
GIVEN = re.compile(r'(?:ScanRejected|_rejection)\((?:\w+, )*\s*"([a-z-]+)"')


def test_every_reason_that_the_package_gives_is_explained() -> None:
    codes = {code for path in PACKAGE.rglob("*.py") for code in GIVEN.findall(path.read_text())}
    assert {"truncated", "bad-affine", "unreadable", "not-skull-stripped"} <= codes
    assert codes <= EXPLANATIONS.keys()


@pytest.mark.parametrize("reason", EXPLANATIONS)
def test_an_explanation_is_a_sentence_and_says_what_to_do(reason: str) -> None:
    explanation = explain_reason(reason)
    assert re.fullmatch(r"[A-Z].{10,120}\.", explanation.meaning)
    assert re.fullmatch(r"[A-Z].{10,120}\.", explanation.remedy)


def test_a_reason_of_another_version_gets_a_general_answer() -> None:
    assert "no explanation" in explain_reason("of-another-version").meaning
