"""`mm train --model` as its user meets it: how each network learns a target, and what it is refused."""

from pathlib import Path

import pytest

from tests.conftest import RunMm
from tests.mmcli.outcome import complaint
from tests.mmcli.test_presets import planned


@pytest.mark.parametrize(
    ("target", "words", "kind"),
    [
        ("age", ["--model", "sfcn"], "binned"),
        ("age", ["--model", "sfcn", "--regression", "value"], "regression"),
        ("sex", ["--model", "sfcn"], "classification"),
        ("age", ["--model", "resnet18"], "regression"),
        ("age", ["--model", "resnet18", "--regression", "bins"], "binned"),
        ("sex", ["--regression", "bins"], "classification"),
    ],
)
def test_a_network_learns_values_in_its_own_way_unless_another_is_given(
    run_mm: RunMm, copy: Path, target: str, words: list[str], kind: str
) -> None:
    content = planned(run_mm, copy, "--target", target, "--inputs", "t1", "--copies", 0, *words)
    assert content["train"]["kind"] == kind


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--model", "sfcn", "--inputs", "t1,connectivity"],
            "The network sfcn takes flair, t1, dwi, not connectivity",
        ),
        (["--model", "resnet18", "--inputs", "connectivity"], "takes flair, t1, dwi, not connectivity."),
        (
            ["--model", "resnet50", "--inputs", "t1", "--channels", "4,4"],
            "The network resnet50 has no setting channels",
        ),
        (["--model", "linear", "--regression", "bins"], "linear is fitted at once and learns a value, not bins."),
        (["--model", "resnet"], "Did you mean resnet50?"),
    ],
)
def test_what_a_network_cannot_do_is_refused_before_anything_is_read(
    run_mm: RunMm, copy: Path, words: list[str], told: str
) -> None:
    assert told in complaint(run_mm("--study", copy, "train", "--target", "age", "--copies", 0, *words, "--dry-run"))
