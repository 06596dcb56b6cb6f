"""`mm selftest` finds what is wired up rightly, tells what is not, and leaves nothing behind."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mmbase.names import INPUTS
from mmtrain import selftest, task
from mmtrain.selftest import SelfTestCase, run_selftest, selftest_cases
from tests.conftest import RunMm

FEW = [
    SelfTestCase(inputs=("connectivity",), kind="classification"),
    SelfTestCase(inputs=("connectivity",), kind="regression"),
]


@pytest.fixture(autouse=True)
def own_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """See that nothing is left, however a test ends."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert list(tmp_path.iterdir()) == []


def test_every_input_is_tested_alone_and_all_together_with_both_kinds_of_target() -> None:
    cases = selftest_cases()
    assert {case.inputs for case in cases} == {*((name,) for name in INPUTS), INPUTS}
    assert all({case.kind for case in cases if case.inputs == one.inputs} >= {"regression"} for one in cases)
    assert len(cases) == 2 * (len(INPUTS) + 1)


@pytest.mark.slow
def test_every_label_is_found() -> None:
    results = run_selftest("cpu")
    assert [result.case for result in results] == selftest_cases()
    assert [result.to_json() for result in results if not result.verdict.ok] == []


def test_a_label_is_found_in_each_kind_of_input(run_mm: RunMm, monkeypatch: pytest.MonkeyPatch) -> None:
    together = SelfTestCase(inputs=("t1", "connectivity", "metadata"), kind="classification")
    monkeypatch.setattr(selftest, "selftest_cases", lambda: [*FEW, together])
    result = run_mm("--study", "nowhere", "selftest", "--device", "cpu", "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["ok"] and [entry["ok"] for entry in content["results"]] == [True, True, True]
    assert content["machine"]["device"].startswith("cpu (") and content["machine"]["torch"] == torch.__version__


def test_an_input_that_is_not_wired_up_is_told_with_exit_code_1(run_mm: RunMm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "selftest_cases", lambda: FEW)
    monkeypatch.setattr(task, "show_labels", lambda values, _: values)  # the stores' random numbers get through
    result = run_mm("selftest", "--device", "cpu")
    assert result.exit_code == 1
    assert "2 of 2 labels were not found" in result.stderr
    assert [line.split()[-1] for line in result.stdout.splitlines()[2:]] == ["NO", "NO"]


def test_an_interruption_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(selftest, "selftest_cases", lambda: FEW)

    def interrupt(done: int, _: int) -> None:
        assert any(tmp_path.iterdir())
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_selftest("cpu", interrupt)
