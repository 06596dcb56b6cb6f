"""Which settings are recommended, from made-up measurements."""

from typing import Any

import pytest

from mmstudy.bench_choices import Choice, choose_augmentation, compare_precisions, weigh_cache, weigh_compiling
from mmstudy.recommendation import recommend
from mmtrain.bench.alternatives import Alternative
from mmtrain.bench.stages import Stage, StageName
from mmtrain.bench.throughput import Throughput
from mmtrain.config.run import RunConfig, parse_run_config
from mmtrain.data.cache_plan import STREAMED, CachePlan
from tests.mmstudy.test_bench import a_mode, stages


def a_config(**settings: Any) -> RunConfig:
    return parse_run_config({"target": "age", "kind": "regression", "unit": "years", "inputs": ["t1"], **settings})


def steps(rate: float, warm_up: float = 1.0, limit: float | None = None) -> dict[StageName, Stage]:
    others = {} if limit is None else stages(convolutions=limit)
    return {"step": Stage(name="step", samples_per_second=rate, warm_up_seconds=warm_up), **others}


def test_the_type_that_auto_takes_is_recommended_where_it_is_faster() -> None:
    (faster, slower) = (Alternative(setting="precision", value="auto", samples_per_second=rate) for rate in (30, 10))
    config = a_config(precision="float32")
    choice = compare_precisions(config, "bfloat16", steps(20)["step"], [faster])
    assert (choice.option, choice.is_measured) == ("--precision auto", True)
    assert "bfloat16" in choice.reason and "30.0" in choice.reason and "20.0" in choice.reason
    assert compare_precisions(config, "bfloat16", steps(20)["step"], [slower]).option == "--precision float32"
    broken = Alternative(setting="precision", value="auto", problem="out of memory")
    choice = compare_precisions(config, "bfloat16", steps(20)["step"], [broken])
    assert choice.option == "--precision float32" and "out of memory" in choice.reason
    assert not compare_precisions(a_config(), "float32", steps(20)["step"], []).is_measured


@pytest.mark.parametrize(
    ("eager", "compiled", "compiling", "epochs", "expected"),
    [(900, 1200, 41.0, 60, "yes"), (900, 1200, 41.0, 2, "no"), (900, 930, 1.0, 60, "no"), (900, 800, 41.0, 60, "no")],
    ids=["pays", "too few epochs", "hardly faster", "slower"],
)
@pytest.mark.parametrize("is_on", [False, True])
def test_compiling_is_recommended_where_it_pays_within_the_run(
    eager: float, compiled: float, compiling: float, epochs: int, expected: str, is_on: bool
) -> None:
    """36,000 samples: 40 s an epoch eager and 30 s compiled, so 40 s of compiling pay after four epochs."""
    own, other = (compiled, eager) if is_on else (eager, compiled)
    warm_up, of_other = (compiling, 1.0) if is_on else (1.0, compiling)
    alternative = Alternative(setting="compile", value=not is_on, samples_per_second=other, warm_up_seconds=of_other)
    config = a_config(compile=is_on, epochs=epochs)
    choice = weigh_compiling(config, steps(own, warm_up), [alternative], 36_000)
    assert (choice.value, choice.is_measured) == (expected, True)
    assert compiled != 1200 or "after 4.0 epochs" in choice.reason


def test_what_was_not_compiled_says_why() -> None:
    choice = weigh_compiling(a_config(), steps(20, limit=25), [], 1000)
    assert (choice.option, choice.is_measured) == ("--no-compile", False)
    assert "80%" in choice.reason
    broken = Alternative(setting="compile", value=True, problem="no compiler here")
    assert "no compiler here" in weigh_compiling(a_config(), steps(20), [broken], 1000).reason


DEVICE = CachePlan(device="device", needed_bytes=18_700_000_000, allowed_bytes=40_000_000_000)


@pytest.mark.parametrize(("rate", "expected"), [(500, "auto"), (399, "auto"), (300, "none")])
def test_rows_are_to_stay_in_memory_unless_that_is_slower(rate: float, expected: str) -> None:
    from_memory = Throughput(samples=int(rate), seconds=1.0)
    choice = weigh_cache(a_mode("on-device", 400), DEVICE, from_memory)
    assert (choice.value, choice.is_measured) == (expected, True)
    assert "18.70 GB" in choice.reason and "memory of the device" in choice.reason


def test_a_cache_that_was_not_measured_says_why() -> None:
    small = CachePlan(device=None, note="the rows of this run take 90 GB and may take 20 GB")
    reasons = [
        weigh_cache(a_mode("on-device", 400), small, None),
        weigh_cache(a_mode("on-device", 400), STREAMED, None),
        weigh_cache(a_mode("hybrid", 400, is_predicted=True), DEVICE, None),
    ]
    assert all((choice.value, choice.is_measured) == ("auto", False) for choice in reasons)
    for word, choice in zip(("90 GB", "twice", "exist"), reasons, strict=True):
        assert word in choice.reason


def test_the_mode_is_recommended_as_an_option_unless_there_is_nothing_to_augment() -> None:
    mode = a_mode("on-device", 400)
    choice = choose_augmentation(mode, recommend([mode], stages(decode=1e4)))
    assert isinstance(choice, Choice) and choice.option == "--augment on-device"
    nothing = a_mode("none", 400)
    assert choose_augmentation(nothing, recommend([nothing], stages(decode=1e4))) is None
