import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmstudy.recommendation import ModeResult, find_bottleneck, recommend
from mmtrain.bench.stages import Stage, StageName
from mmtrain.config.augmentation import AugmentMode

Invoke = Callable[..., Any]
SMALL = ("--inputs", "dwi", "--channels", "2,2", "--batch-size", 4, "--seconds", 0.1, "--device", "cpu")


def a_mode(mode: AugmentMode, rate: float, **changes: Any) -> ModeResult:
    settings: dict[str, Any] = {
        "wait_share": 0.0,
        "is_predicted": False,
        "copies_bytes": 5_000_000_000 if mode in ("precomputed", "hybrid") else 0,
        "copies_are_projected": False,
        "read_bytes": 1,
        "stays_in_memory": True,
        "disk_samples_per_second": None,
    }
    return ModeResult(mode=mode, samples_per_second=rate, **{**settings, **changes})


def stages(**rates: float) -> dict[StageName, Stage]:
    return {name: Stage(name=name, samples_per_second=rate) for name, rate in rates.items()}  # type: ignore[arg-type,misc]


OUT_OF_MEMORY = {"stays_in_memory": False, "read_bytes": 80_000_000_000}


@pytest.mark.parametrize(
    ("modes", "expected", "says"),
    [
        ({"none": 200, "precomputed": 100, "on-device": 80, "hybrid": 90}, "precomputed", "copies take 5.00 GB"),
        ({"none": 200, "precomputed": 100, "on-device": 96, "hybrid": 90}, "on-device", "within 5 % of precomputed"),
        ({"none": 200, "precomputed": 100, "on-device": 94, "hybrid": 90}, "precomputed", "on-device 94.0"),
        ({"none": 200, "precomputed": 100, "on-device": 80, "hybrid": 97}, "hybrid", "it varies again"),
        ({"none": 200, "precomputed": 100, "on-device": 120, "hybrid": 90}, "on-device", "needs no copies on disk"),
        ({"none": 200}, "none", "nothing to augment"),
    ],
    ids=["fastest", "close", "not close", "close and varies", "fastest and free", "no volumes"],
)
def test_the_fastest_mode_that_augments_is_recommended_unless_a_cheaper_one_is_close(
    modes: dict[AugmentMode, float], expected: AugmentMode, says: str
) -> None:
    recommendation = recommend([a_mode(mode, rate) for mode, rate in modes.items()], stages(decode=1e4))
    assert recommendation.mode == expected
    assert says in recommendation.reason


def test_a_predicted_mode_is_said_to_be_predicted() -> None:
    modes = [a_mode("precomputed", 100, is_predicted=True), a_mode("on-device", 50)]
    assert "is predicted to be the fastest" in recommend(modes, stages(decode=1e4)).reason


def test_copies_that_do_not_fit_into_memory_are_as_fast_as_the_disk() -> None:
    modes = [
        a_mode("precomputed", 100, disk_samples_per_second=40, **OUT_OF_MEMORY),
        a_mode("on-device", 60, disk_samples_per_second=40),
    ]
    recommendation = recommend(modes, stages(decode=1e4, disk=40))
    assert [mode.sustained for mode in modes] == [40, 60]
    assert (recommendation.mode, recommendation.bottleneck) == ("on-device", "device")


@pytest.mark.parametrize(
    ("mode", "decode", "expected", "says"),
    [
        (a_mode("on-device", 100, wait_share=0.02), 110, "device", "as it should be"),
        (a_mode("on-device", 100, wait_share=0.30), 110, "decode", "More processor cores"),
        (a_mode("on-device", 100, wait_share=0.30), 900, "device", "9 times as fast"),
        (a_mode("on-device", 100, disk_samples_per_second=20, **OUT_OF_MEMORY), 900, "disk", "local disk"),
        (a_mode("on-device", 100, disk_samples_per_second=300, **OUT_OF_MEMORY), 900, "device", "as it should be"),
        (a_mode("on-device", 100, disk_samples_per_second=None, **OUT_OF_MEMORY), 900, "device", "as it should be"),
    ],
    ids=["device", "decode", "waits without need", "disk", "fast disk", "unknown disk"],
)
def test_the_bottleneck_is_named_with_what_would_help(
    mode: ModeResult, decode: float, expected: str, says: str
) -> None:
    of_stage = stages(decode=decode, step=120)
    assert find_bottleneck(mode, of_stage) == expected
    assert says in recommend([mode], of_stage).advice


def fingerprint(root: Path) -> dict[str, str]:
    """Return a digest of every file, and every folder, of a study."""
    return {
        str(path.relative_to(root)): hashlib.blake2b(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in root.rglob("*")
    }


def test_a_measurement_tells_stages_modes_and_what_is_recommended_and_leaves_the_study_as_it_was(
    run_mm: Invoke, study: Path, tmp_path: Path
) -> None:
    before = fingerprint(study)
    picture = tmp_path / "bench.png"
    result = run_mm("--study", study, "bench", *SMALL, "--json", "--picture", picture)
    assert result.exit_code == 0, result.output
    assert fingerprint(study) == before
    assert picture.read_bytes().startswith(b"\x89PNG")
    content = json.loads(result.stdout)
    assert [stage["name"] for stage in content["stages"]] == [
        "disk",
        "decode",
        "convert",
        "recipes",
        "augment",
        "step",
        "convolutions",
    ]
    rates = {stage["name"]: stage["samples_per_second"] for stage in content["stages"]}
    assert content["share_of_conv_limit"] == rates["step"] / rates["convolutions"] > 0
    parts = dict(content["start_up"])
    assert parts.pop("seconds") == pytest.approx(sum(parts.values()))
    assert list(parts) == ["imports", "plan", "cache", "first_step"] and min(parts.values()) > 0
    modes = {way["way"]: way for way in content["ways"]}
    assert list(modes) == ["none", "precomputed", "on-device", "hybrid"]
    assert all(mode["samples_per_second"] > 0 and 0 <= mode["wait_share"] <= 1 for mode in modes.values())
    assert not any(mode["is_predicted"] for mode in modes.values())
    stored = sum(file.stat().st_size for file in (study / "augmented.zarr").glob("*/32/**/*") if file.is_file())
    assert [mode["copies_bytes"] for mode in modes.values()] == [0, stored, 0, stored]
    assert content["recommendation"]["way"] in ("precomputed", "on-device", "hybrid")
    assert content["recommendation"]["reason"].count(". ") == 0
    settings = {choice["setting"]: choice for choice in content["recommendation"]["settings"]}
    assert list(settings) == ["augment", "precision", "compile", "cache"]
    assert settings["compile"]["option"] == "--no-compile" and not settings["compile"]["is_measured"]
    cache = settings["cache"]
    assert cache["is_measured"] == ("memory of the host" in cache["reason"])


def test_without_copies_their_figures_are_predicted_and_their_bytes_those_of_the_plan(
    run_mm: Invoke, study: Path
) -> None:
    result = run_mm("--study", study, "bench", *SMALL, "--side", 64, "--json")
    modes = {way["way"]: way for way in json.loads(result.stdout)["ways"]}
    assert {mode for mode, content in modes.items() if content["is_predicted"]} == {"precomputed", "hybrid"}
    assert modes["precomputed"]["samples_per_second"] == modes["none"]["samples_per_second"]
    plan = run_mm("--study", study, "precompute-augs", "--side", 64, "--dry-run", "--json", "--device", "cpu")
    assert modes["hybrid"]["copies_bytes"] == json.loads(plan.stdout)["disk_bytes"]
    table = run_mm("--study", study, "bench", *SMALL, "--side", 64).output
    assert "precomputed*" in table and "precompute-augs --copies 4 --side 64" in table


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--inputs", "connectivity"), ["disk", "decode", "step"]),
        (("--inputs", "metadata", "--metadata-block", "psychology"), ["step"]),
    ],
)
def test_inputs_without_volumes_have_nothing_to_augment(
    run_mm: Invoke, study: Path, words: tuple[str, ...], expected: list[str]
) -> None:
    result = run_mm("--study", study, "bench", *words, "--seconds", 0.1, "--device", "cpu", "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert [stage["name"] for stage in content["stages"]] == expected
    assert [way["way"] for way in content["ways"]] == ["none"]
    assert "nothing to augment" in content["recommendation"]["reason"]
    settings = [choice["setting"] for choice in content["recommendation"]["settings"]]
    assert settings == ["precision", "compile", *(["cache"] if "connectivity" in words else [])]


def test_labels_that_no_model_should_be_trained_on_can_be_measured_with(
    run_mm: Invoke, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmstudy.runs.plan.findings_for_run", lambda *_, **__: pytest.fail("the labels were audited"))
    assert run_mm("--study", study, "bench", "--inputs", "connectivity", "--seconds", 0.1).exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--target", "shoe_size"), "Unknown target"),
        (("--side", "48", "--channels", "2,2"), "Side 48 is not stored"),
        (("--inputs", "t1,brain"), "Expected inputs among"),
        (("--device", "gpu"), "device: "),
        (("--inputs", "connectivity", "--model", "linear"), "no training steps to measure"),
        (("--picture", "bench.txt"), "ends in .png"),
        (("--picture", "nowhere/bench.png"), "does not exist"),
    ],
)
def test_wrong_input_ends_in_one_line_before_anything_is_measured(
    run_mm: Invoke, study: Path, words: tuple[str, ...], message: str
) -> None:
    result = run_mm("--study", study, "bench", *words)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1 and message in result.stderr


def test_a_picture_that_is_there_is_kept(run_mm: Invoke, study: Path, tmp_path: Path) -> None:
    picture = tmp_path / "bench.png"
    picture.write_bytes(b"mine")
    result = run_mm("--study", study, "bench", *SMALL, "--picture", picture)
    assert result.exit_code == 1 and "--overwrite" in result.stderr
    assert picture.read_bytes() == b"mine"


def test_the_help_shows_its_examples_line_by_line(run_mm: Invoke) -> None:
    lines = [line.strip() for line in run_mm("bench", "--help").output.splitlines()]
    assert "\\b" not in lines and sum(line.startswith("mm bench ") for line in lines) == 3
