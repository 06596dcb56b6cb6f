"""Files that would run something, or that are something else, are refused; and nothing of them runs."""

import io
import os
import pickle
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmtrain.errors import TrainError
from mmtrain.published import torch_file
from mmtrain.published.checkpoint import read_checkpoint
from tests.mmtrain.published.checkpoints import Described, checkpoint_of, make_weights, save_checkpoint

SMALL = Described(edges=3, columns=2)
Make = Callable[[Path, Path], None]
"""Write a file; what it would run makes the second path."""


class Call:
    """What a pickle makes a call of."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.made = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.made


def beside_the_weights(call: Callable[[Path], Any], **options: Any) -> Make:
    """Put a call among what a good checkpoint holds."""

    def make(path: Path, mark: Path) -> None:
        torch.save(checkpoint_of(make_weights(SMALL)) | {"epoch": call(mark)}, path, **options)

    return make


def in_place_of_the_pickle(program: Callable[[Path], bytes]) -> Make:
    """Exchange the pickle of a good checkpoint for another."""

    def make(path: Path, mark: Path) -> None:
        good = io.BytesIO()
        torch.save(checkpoint_of(make_weights(SMALL)), good)
        with zipfile.ZipFile(good) as archive, zipfile.ZipFile(path, "w") as other:
            for part in archive.infolist():
                is_pickle = part.filename.endswith("data.pkl")
                other.writestr(part.filename, program(mark) if is_pickle else archive.read(part))

    return make


def legacy(path: Path, mark: Path) -> None:
    torch.save({"x": Call(os.system, f"touch {mark}")}, path, _use_new_zipfile_serialization=False)


def bare_pickle(path: Path, mark: Path) -> None:
    path.write_bytes(pickle.dumps(Call(os.system, f"touch {mark}")))


HARMFUL: dict[str, Make] = {
    "os.system": beside_the_weights(lambda mark: Call(os.system, f"touch {mark}")),
    "eval": beside_the_weights(lambda mark: Call(eval, f"open({str(mark)!r}, 'w')")),
    "subprocess": beside_the_weights(lambda mark: Call(subprocess.check_call, ["touch", str(mark)])),
    "open": beside_the_weights(lambda mark: Call(open, str(mark), "w")),
    "getattr": beside_the_weights(lambda mark: Call(getattr, str(mark), "upper")),
    "numpy reads a pickle": beside_the_weights(lambda mark: Call(np.load, str(mark), None, True)),
    "torch runs a script": beside_the_weights(lambda mark: Call(torch.hub.load, str(mark), "x")),
    "a newer pickle": beside_the_weights(lambda mark: Call(os.system, f"touch {mark}"), pickle_protocol=4),
    "an instance": in_place_of_the_pickle(lambda mark: f"(S'touch {mark}'\nios\nsystem\n.".encode()),
    "a call before the rest": in_place_of_the_pickle(
        lambda mark: f"cos\nsystem\n(S'touch {mark}'\ntR0".encode() + pickle.dumps({}, 2)
    ),
    "legacy": legacy,
    "a bare pickle": bare_pickle,
}


@pytest.mark.parametrize("name", HARMFUL)
def test_a_file_that_would_run_something_is_refused_and_nothing_runs(tmp_path: Path, name: str) -> None:
    path, mark = tmp_path / "weights.pt", tmp_path / "ran"
    HARMFUL[name](path, mark)
    with pytest.raises(TrainError):
        read_checkpoint(path)
    assert not mark.exists()


def test_these_files_do_run_something_in_a_reader_that_does_not_look(tmp_path: Path) -> None:
    path, mark = tmp_path / "weights.pt", tmp_path / "ran"
    HARMFUL["os.system"](path, mark)
    torch.load(path, weights_only=False)
    assert mark.exists()


def test_the_message_names_what_was_asked_for(tmp_path: Path) -> None:
    HARMFUL["numpy reads a pickle"](tmp_path / "weights.pt", tmp_path / "ran")
    with pytest.raises(TrainError, match=r"asks for numpy.load, which no checkpoint needs. It was not run"):
        read_checkpoint(tmp_path / "weights.pt")


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"0" * (64 << 20))


def long_pickle(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"0" * (torch_file.MAX_PICKLE_BYTES + 1))


def more_than_there_is(path: Path) -> None:
    """Let the first tensor of a good checkpoint say that it has billions of numbers."""
    good = io.BytesIO()
    torch.save(checkpoint_of(make_weights(SMALL)), good)
    numbers, first = (b"cpuq\x08K\x06", b"cpuq\x08J\xff\xff\xff\x7f"), (b"(K\x02K\x03", b"(J\xff\xff\xff\x0fK\x03")
    with zipfile.ZipFile(good) as archive, zipfile.ZipFile(path, "w") as other:
        for part in archive.infolist():
            content = archive.read(part)
            if part.filename.endswith("data.pkl"):
                assert numbers[0] in content and first[0] in content
                content = content.replace(*numbers, 1).replace(*first, 1)
            other.writestr(part.filename, content)


def endless(path: Path) -> None:
    """Write a tensor of a terabyte that lies in four bytes."""
    weights = make_weights(SMALL)
    weights["mlp_connectivity.dense_layers.0.weight"] = torch.zeros(1).expand(128, 1 << 31)
    torch.save(checkpoint_of(weights), path)


def another_project(path: Path) -> None:
    torch.save({"state_dict": torch.nn.Linear(2, 2).state_dict(), "epoch": 3, "arch": "resnet"}, path)


def bare_state_dict(path: Path) -> None:
    torch.save(make_weights(SMALL), path)


def whole_module(path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), path)


def script(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/constants.pkl", pickle.dumps((), 2))
        archive.writestr("archive/code/x.py", "")


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Write a checkpoint of which something was changed."""

    def make(path: Path) -> None:
        content = checkpoint_of(make_weights(SMALL))
        change(content)
        torch.save(content, path)

    return make


def of_cnn(name: str, tensor: torch.Tensor) -> Callable[[Path], None]:
    return changed(lambda content: content["cnn_state_dict"].update({name: tensor}))


FOREIGN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no archive": (lambda path: path.write_bytes(b"weights" * 100), "no archive of torch.save"),
    "nothing": (lambda path: path.touch(), "no archive of torch.save"),
    "half a file": (
        lambda path: (save_checkpoint(path, SMALL), path.write_bytes(path.read_bytes()[:-5000])),
        "no archive of torch.save",
    ),
    "a bomb": (bomb, "larger than the file"),
    "a long pickle": (long_pickle, "expected at most"),
    "another archive": (script, "none of torch.save"),
    "more numbers than there are": (more_than_there_is, "cannot be read as a checkpoint"),
    "a tensor without end": (endless, "larger than the file"),
    "a list": (lambda path: torch.save([torch.zeros(2)], path), "Expected a dictionary"),
    "a tensor": (lambda path: torch.save(torch.zeros(2), path), "Expected a dictionary"),
    "another project's": (another_project, "got state_dict, epoch, arch"),
    "a state dict": (bare_state_dict, "Expected a published checkpoint with cnn_state_dict"),
    "a module": (whole_module, "asks for torch.nn.modules.linear.Linear"),
    "a missing block": (
        changed(lambda content: content.pop("mlp_metadata_state_dict")),
        "with mlp_metadata_state_dict",
    ),
    "a missing layer": (
        changed(lambda content: content["cnn_state_dict"].pop("bn_layers.1.bias")),
        "cnn.bn_layers.1.bias to be float32 of shape .*, got left out",
    ),
    "another layer": (of_cnn("attention.weight", torch.zeros(2)), "cnn.attention.weight to be left out"),
    "another shape": (of_cnn("bn_layers.1.bias", torch.zeros(5)), r"of shape \(2,\), got float32 of shape \(5,\)"),
    "another type": (of_cnn("bn_layers.1.bias", torch.zeros(2).half()), "float32 of shape .*, got float16"),
    "NaN": (of_cnn("bn_layers.1.bias", torch.full((2,), torch.nan)), "cnn.bn_layers.1.bias .* no training leaves"),
    "a negative variance": (of_cnn("bn_layers.1.running_var", torch.full((2,), -1.0)), "no training leaves"),
    "no tensors": (changed(lambda content: content.update(cnn_state_dict=[1, 2])), "Expected tensors by their names"),
    "no stages": (changed(lambda content: content.update(cnn_state_dict={})), "Expected weights named cnn"),
    "no curves": (
        changed(lambda content: content.update(list_of_training_losses_per_epoch=["low"])),
        "Expected numbers in list_of_training_losses",
    ),
    "three outputs": (lambda path: save_checkpoint(path, Described(edges=3, outputs=3)), "one or two outputs"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_is_no_published_checkpoint_is_refused_by_what_it_is(tmp_path: Path, name: str) -> None:
    make, told = FOREIGN[name]
    make(tmp_path / "weights.pt")
    with pytest.raises(TrainError, match=told):
        read_checkpoint(tmp_path / "weights.pt")


def link(path: Path) -> None:
    save_checkpoint(path.with_name("good.pt"), SMALL)
    path.symlink_to("good.pt")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (link, "is a link"),
        (os.mkfifo, "a named pipe, not a file"),
        (Path.mkdir, "a folder, not a file"),
        (lambda path: None, "There is no file"),
    ],
    ids=["link", "pipe", "folder", "nothing there"],
)
def test_what_is_no_file_is_refused_unopened(tmp_path: Path, make: Callable[[Path], Any], told: str) -> None:
    make(tmp_path / "weights.pt")
    with pytest.raises(TrainError, match=told):
        read_checkpoint(tmp_path / "weights.pt")


def test_numpy_scalars_are_read_under_the_names_of_numpy_1_and_2(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "new.pt", SMALL)
    with pytest.raises(pickle.UnpicklingError, match="numpy"):
        torch.load(tmp_path / "new.pt", weights_only=True)

    with zipfile.ZipFile(tmp_path / "new.pt") as archive, zipfile.ZipFile(tmp_path / "old.pt", "w") as old:
        for part in archive.infolist():
            content = archive.read(part).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
            old.writestr(part.filename, content)
    for name in ("new.pt", "old.pt"):
        checkpoint = read_checkpoint(tmp_path / name)
        assert checkpoint.curves["training_losses"] == (0.5, 0.25)
        assert checkpoint.curves["validation_losses"] == (0.75, 0.5)
        assert checkpoint.epoch == 7


def test_what_is_allowed_ends_with_the_reading(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "weights.pt", SMALL)
    before = set(torch.serialization.get_safe_globals())
    read_checkpoint(tmp_path / "weights.pt")
    assert set(torch.serialization.get_safe_globals()) == before
