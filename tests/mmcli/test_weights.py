"""`mm weights` on the command line, in a folder without a study and in a study."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from mmdata.study import create_study, parse_config
from tests.conftest import RunMm
from tests.mmcli.outcome import complaint
from tests.mmtrain.published.checkpoints import SHORT, Described, checkpoint_of, make_weights, save_checkpoint

VOLUMES = Described(inputs=("flair", "t1"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder without a study, with a checkpoint."""
    monkeypatch.chdir(tmp_path)
    save_checkpoint(tmp_path / "best.pt", VOLUMES)
    return tmp_path


def answer(run_mm: RunMm, *words: object) -> dict[str, Any]:
    result = run_mm("weights", *words, "--json")
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout)
    return content


def test_a_file_is_shown_with_its_sizes_and_what_it_was_trained_on(run_mm: RunMm) -> None:
    facts = answer(run_mm, "show", "best.pt")
    assert (facts["side"], facts["kind"], facts["columns"], facts["edges"]) == (64, "continuous", 24, 10)
    assert facts["inputs"]["t1"] == "trained" and facts["inputs"]["metadata"] == "untrained"
    assert facts["last_losses"] == {"training": 0.25, "validation": 0.5}
    assert (facts["epoch"], facts["batches"]) == (7, 5000)
    weights = make_weights(VOLUMES)
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    assert facts["parameters"] == sum(x.numel() for name, x in weights.items() if not name.endswith(buffers))

    shown = run_mm("weights", "show", "best.pt").stdout
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert {"flair yes", "dwi no", "side of volumes 64 voxels", "last validation loss 0.5", "epoch 7"} <= set(lines)


def test_a_model_goes_into_a_folder_and_says_what_is_assumed(run_mm: RunMm, elsewhere: Path) -> None:
    words = ("best.pt", "--as", "./age", "--target", "age")
    done = answer(run_mm, "import", *words, "--target-range", 45, 80)
    assert (done["model"], done["unit"], done["inputs"]) == ("age", "years", ["flair", "t1"])
    facts = answer(run_mm, "show", "./age")
    assert facts["assumed"] == done["assumed"] and "45 to 80 years" in facts["assumed"]["target-scaling"]
    assert (facts["target"], facts["last_losses"]) == ("age", {"training": 0.25, "validation": 0.5})
    shown = " ".join(run_mm("weights", "show", "./age").stdout.split())
    assert "No volume of the study itself was compared." in shown

    assert "--overwrite" in complaint(run_mm("weights", "import", *words))
    again = run_mm("weights", "import", *words, "--overwrite")
    assert again.exit_code == 0
    assert "Made the model age: age (scaled, -1 to 1) from flair, t1." in again.stdout


def test_export_gives_the_tensors_back(run_mm: RunMm, elsewhere: Path) -> None:
    answer(run_mm, "import", "best.pt", "--as", "./age", "--target", "age")
    done = answer(run_mm, "export", "./age", "again.pt")
    expected = checkpoint_of(make_weights(VOLUMES))["cnn_state_dict"]
    found = torch.load(elsewhere / "again.pt", weights_only=True)["cnn_state_dict"]
    assert done["tensors"] == len(make_weights(VOLUMES))
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert (elsewhere / "again.pt").stat().st_mode & 0o077 == 0
    assert "--overwrite" in complaint(run_mm("weights", "export", "./age", "again.pt"))
    assert ".pt" in complaint(run_mm("weights", "export", "./age", "again.zip"))


def test_a_name_is_a_model_of_the_study(run_mm: RunMm, elsewhere: Path) -> None:
    words = ("import", "best.pt", "--as", "published", "--target", "age")
    assert "init" in complaint(run_mm("weights", *words))
    create_study(elsewhere / "study", parse_config({"salt": "salt-of-a-tiny-study"}, "test"))
    made = Path(answer(run_mm, *words)["path"])
    assert made == elsewhere / "study" / "models" / "published"
    assert not made.parents[1].stat().st_mode & 0o077  # the study is its owner's alone
    assert answer(run_mm, "show", "published")["target"] == "age"
    said = complaint(run_mm("weights", "show", "publish"))
    assert "There is no model 'publish'" in said and "Did you mean published?" in said
    assert "There is no file lost.pt" in complaint(run_mm("weights", "show", "lost.pt"))


def test_what_the_weights_do_not_say_is_asked_for(run_mm: RunMm, elsewhere: Path) -> None:
    save_checkpoint(elsewhere / "short.pt", Described(inputs=("t1", "metadata"), columns=2, batches=SHORT))
    words: list[object] = ["weights", "import", "short.pt", "--as", "./model", "--target", "age"]
    assert "--inputs" in complaint(run_mm(*words))
    words += ["--inputs", "t1+metadata"]
    assert "--metadata-names" in complaint(run_mm(*words))
    words += ["--metadata-names", "LDL,Hb"]
    assert "--metadata-block" in complaint(run_mm(*words))
    words += ["--metadata-block", "serology"]
    assert run_mm(*words).exit_code == 0
    assert answer(run_mm, "show", "./model")["shown_columns"] == ["LDL", "Hb"]


def test_a_file_that_would_run_something_is_one_line_and_runs_nothing(run_mm: RunMm, elsewhere: Path) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return os.system, ("touch ran",)

    torch.save(checkpoint_of(make_weights(VOLUMES)) | {"epoch": Harm()}, elsewhere / "harm.pt")
    for words in (("show", "harm.pt"), ("import", "harm.pt", "--as", "./model", "--target", "age")):
        assert f"asks for {os.system.__module__}.system" in complaint(run_mm("weights", *words))
    assert sorted(path.name for path in elsewhere.iterdir()) == ["best.pt", "harm.pt"]
