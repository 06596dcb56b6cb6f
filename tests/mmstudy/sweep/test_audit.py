"""What would refuse all runs of a target is told before a sweep begins."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pytest

from mmdata.study import Study
from mmstudy.sweep.audit import require_sound
from mmstudy.sweep.directory import list_sweeps
from mmstudy.sweep.plan import SweepPlan
from mmstudy.sweep.planning import plan_sweep
from mmstudy.sweep.settings import SweepSettings
from mmtrain.errors import TrainError
from tests.conftest import RunMm

WORDS = ("--target", "age,weight", "--inputs", "flair", "--epochs", 1, "--channels", "2,2", "--augment", "none")


@contextmanager
def unseen(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show no progress."""
    del what
    yield lambda done, total: None


@pytest.fixture
def wrong_study(own_study: Study) -> Study:
    """A study whose weights are in grams."""
    with duckdb.connect(str(own_study.layout.catalog)) as catalog:
        catalog.execute("UPDATE feature SET value = 1000 * value WHERE name = 'weight'")
    return own_study


def plan(study: Study, **more: Any) -> SweepPlan:
    """Plan small models of two targets."""
    settings = {"epochs": 1, "channels": (2, 2), "augment": "none"}
    return plan_sweep(study, SweepSettings(targets=("age", "weight"), input_sets=(("flair",),), train=settings, **more))


def test_critical_findings_are_told_before_a_sweep_begins(wrong_study: Study, run_mm: RunMm) -> None:
    result = run_mm("--study", wrong_study.layout.root, "sweep", *WORDS)
    assert result.exit_code == 1
    told = " ".join(result.stderr.split())
    assert "critical findings. weight: impossible-values:" in told
    assert "--accept impossible-values" in told
    assert list_sweeps(wrong_study.layout) == []


def test_what_the_user_accepts_and_other_targets_are_not_refused(wrong_study: Study) -> None:
    with pytest.raises(TrainError, match="impossible-values"):
        require_sound(wrong_study, plan(wrong_study), (), unseen)
    require_sound(wrong_study, plan(wrong_study), ("impossible-values",), unseen)


@pytest.mark.parametrize("method", ["shared", "frozen"])
def test_targets_that_have_no_network_of_their_own_are_audited_too(wrong_study: Study, method: str) -> None:
    with pytest.raises(TrainError, match="weight: impossible-values"):
        require_sound(wrong_study, plan(wrong_study, methods=(method,), baselines=()), (), unseen)


def test_each_target_is_audited_once_whatever_else_cannot_be_trained(own_study: Study) -> None:
    seen: list[tuple[int, int]] = []

    @contextmanager
    def progress(what: str) -> Iterator[Callable[[int, int], None]]:
        assert what == "audited targets"
        yield lambda done, total: seen.append((done, total))

    (chunks,) = own_study.layout.volumes.glob("flair/32/c")
    chunks.rename(chunks.with_name("elsewhere"))
    require_sound(own_study, plan(own_study), (), progress)
    assert seen == [(1, 2), (2, 2)]
